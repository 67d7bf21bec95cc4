"""The example workflows, against the nodes they name; no model is fetched."""

from __future__ import annotations

import json
import unittest
from typing import Any

from support import ROOT, ShimTestCase

EXAMPLES = ROOT / "examples"

# Inputs and output types of the built-in nodes that the examples use.
BUILT_IN: dict[str, tuple[set[str], list[str]]] = {
    "CheckpointLoaderSimple": ({"ckpt_name"}, ["MODEL", "CLIP", "VAE"]),
    "LoraLoader": (
        {"model", "clip", "lora_name", "strength_model", "strength_clip"},
        ["MODEL", "CLIP"],
    ),
    "VAELoader": ({"vae_name"}, ["VAE"]),
    "CLIPTextEncode": ({"clip", "text"}, ["CONDITIONING"]),
    "EmptyLatentImage": ({"width", "height", "batch_size"}, ["LATENT"]),
    "KSampler": (
        {
            "model", "positive", "negative", "latent_image",
            "seed", "steps", "cfg", "sampler_name", "scheduler", "denoise",
        },
        ["LATENT"],
    ),
    "VAEDecode": ({"samples", "vae"}, ["IMAGE"]),
    "SaveImage": ({"images", "filename_prefix"}, []),
}  # fmt: skip

LOADED_BY = {"checkpoint": "ckpt_name", "lora": "lora_name", "vae": "vae_name"}


class ExampleWorkflowTest(ShimTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.api: dict[str, Any] = json.loads((EXAMPLES / "workflow_api.json").read_text())
        self.ui: dict[str, Any] = json.loads((EXAMPLES / "workflow_ui.json").read_text())
        self.signatures = dict(BUILT_IN)
        for name, node in self.pack.NODE_CLASS_MAPPINGS.items():
            required = set(node.INPUT_TYPES()["required"])
            self.signatures[name] = (required, list(node.RETURN_TYPES))

    def test_every_node_is_known_and_has_the_inputs_it_needs(self) -> None:
        for node, spec in self.api.items():
            with self.subTest(node=node):
                self.assertEqual(set(spec["inputs"]), self.signatures[spec["class_type"]][0])

    def test_every_link_leads_to_an_output_that_is_there(self) -> None:
        for spec in self.api.values():
            for value in spec["inputs"].values():
                if isinstance(value, list):
                    outputs = self.signatures[self.api[value[0]]["class_type"]][1]
                    self.assertLess(value[1], len(outputs))

    def test_each_fetched_model_goes_to_its_loader_by_the_second_output(self) -> None:
        fetchers = {n: s for n, s in self.api.items() if s["class_type"] == "AnymatixFetch"}
        self.assertEqual(len(fetchers), 3)
        for node, spec in fetchers.items():
            kind = spec["inputs"]["type"]
            takers = [s for s in self.api.values() if [node, 1] in s["inputs"].values()]
            self.assertEqual([s["inputs"][LOADED_BY[kind]] for s in takers], [[node, 1]])

    def test_each_fetcher_has_a_public_https_link_and_no_token(self) -> None:
        for spec in self.api.values():
            if spec["class_type"] == "AnymatixFetch":
                self.assertIn(spec["inputs"]["type"], self.nodes.offered_types())
                self.assertRegex(
                    spec["inputs"]["url"],
                    r"^https://huggingface\.co/[^/?]+/[^/?]+/resolve/[^/?]+/[^?#]+\.safetensors$",
                )

    def test_the_editors_form_has_consistent_links(self) -> None:
        self.assertEqual(self.ui["version"], 0.4)
        nodes = {node["id"]: node for node in self.ui["nodes"]}
        self.assertEqual(len(nodes), len(self.ui["nodes"]))
        self.assertEqual(self.ui["last_node_id"], max(nodes))
        self.assertEqual(self.ui["last_link_id"], max(link[0] for link in self.ui["links"]))
        seen: dict[tuple[int, int], list[int]] = {}
        for number, origin, origin_slot, target, target_slot, kind in self.ui["links"]:
            seen.setdefault((origin, origin_slot), []).append(number)
            self.assertEqual(nodes[target]["inputs"][target_slot]["link"], number)
            self.assertEqual(nodes[origin]["outputs"][origin_slot]["type"], kind)
            self.assertLess(nodes[origin]["order"], nodes[target]["order"])
        for node in nodes.values():
            for slot, output in enumerate(node.get("outputs", [])):
                self.assertEqual(output["links"] or [], seen.get((node["id"], slot), []))

    def test_the_editors_form_fills_in_the_same_fields(self) -> None:
        for node in self.ui["nodes"]:
            if node["type"] == "AnymatixFetch":
                inputs = self.api[str(node["id"])]["inputs"]
                self.assertEqual(node["widgets_values"], [inputs["url"], inputs["type"], "", ""])

    def test_both_forms_are_the_same_graph(self) -> None:
        links = {link[0]: link for link in self.ui["links"]}
        graph = {}
        for node in self.ui["nodes"]:
            if node["type"] == "Note":  # known to the editor alone
                continue
            outputs = [output["type"] for output in node.get("outputs", [])]
            self.assertEqual(outputs, self.signatures[node["type"]][1])
            inputs = {
                taken["name"]: [str(links[taken["link"]][1]), links[taken["link"]][2]]
                for taken in node.get("inputs", [])
                if taken["link"] is not None
            }
            graph[str(node["id"])] = (node["type"], inputs)
        expected = {
            node: (
                spec["class_type"],
                {k: v for k, v in spec["inputs"].items() if isinstance(v, list)},
            )
            for node, spec in self.api.items()
        }
        self.assertEqual(graph, expected)


if __name__ == "__main__":
    unittest.main()
