#!/bin/sh
# Start script of a container with ComfyUI: brings the models of a list, then starts ComfyUI.
#
#   MODEL_LIST   the list (default: /models.yaml)
#   COMFYUI_HOME the checkout of ComfyUI (default: /ComfyUI)
#   FETCHER_JAR  the jar (default: that of the node pack)
#
# What is there is not asked for again. A start that was killed goes on where it was. With a volume for the models, only
# the first start takes long. Tokens come from the environment: HF_TOKEN, CIVITAI_API_TOKEN.
set -eu

COMFYUI_HOME=${COMFYUI_HOME:-/ComfyUI}
MODEL_LIST=${MODEL_LIST:-/models.yaml}
FETCHER_JAR=${FETCHER_JAR:-$COMFYUI_HOME/custom_nodes/anymatix-fetcher/anymatix-fetcher.jar}
models=$COMFYUI_HOME/models

if java -jar "$FETCHER_JAR" pull "$MODEL_LIST" --models-dir "$models" --as-named --small-first \
    --marker "$models/.models-are-there" >/dev/null; then
  echo "The models of $MODEL_LIST are there."
else
  status=$?
  # 3 is the network: ComfyUI may work with what is there. Anything else will not pass by itself.
  [ "$status" -eq 3 ] || exit "$status"
  echo "Some models could not be fetched; they are tried again at the next start." >&2
fi

cd "$COMFYUI_HOME"
exec python3 main.py --listen 0.0.0.0 "$@"
