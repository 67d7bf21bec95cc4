package io.anymatix.fetcher.rpc;

import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.anymatix.fetcher.failure.FailureKind;
import io.anymatix.fetcher.fetch.Progress;
import java.lang.reflect.AnnotatedParameterizedType;
import java.lang.reflect.AnnotatedType;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.RecordComponent;
import java.lang.reflect.Type;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Describes a contract as an OpenRPC 1.3.2 document, from its signatures, its annotations and the
 * names of model types: it can neither be out of date nor hold a secret.
 */
final class OpenRpc {
  private static final String OPENRPC_VERSION = "1.3.2";

  private OpenRpc() {}

  /**
   * The document for a contract whose methods carry {@link RpcMethod}.
   *
   * @param examples values that params of these names take, where the contract does not say
   */
  static ObjectNode document(
      Class<?> contract, String title, String version, Map<String, List<String>> examples) {
    ObjectNode document = object().put("openrpc", OPENRPC_VERSION);
    document.putObject("info").put("title", title).put("version", version);
    ArrayNode methods = document.putArray("methods");
    for (Dispatcher.Operation operation : Dispatcher.operations(contract).values()) {
      methods.add(method(operation, examples));
    }
    ObjectNode components = document.putObject("components");
    ObjectNode errors = components.putObject("errors");
    for (RpcErrorCode code : RpcErrorCode.values()) {
      errors.set(code.name(), error(code));
    }
    ObjectNode schemas = components.putObject("schemas");
    schemas.set("Progress", schema(Progress.class));
    return document;
  }

  private static ObjectNode method(
      Dispatcher.Operation operation, Map<String, List<String>> examples) {
    RpcMethod description = operation.description();
    ObjectNode method =
        object()
            .put("name", operation.name())
            .put("summary", description.summary())
            .put("paramStructure", "either");
    List<String> required = List.of(description.required());
    ArrayNode params = method.putArray("params");
    if (operation.paramsType() != null) {
      for (RecordComponent component : operation.paramsType().getRecordComponents()) {
        String name = component.getName();
        ObjectNode schema = schema(component.getAnnotatedType());
        if (examples.containsKey(name)) {
          examples.get(name).forEach(schema.withArray("examples")::add);
        }
        params.add(
            descriptor(name, schema)
                .put("required", required.contains(name) || !isNullable(component)));
      }
    }
    if (description.progress()) {
      params.add(
          descriptor("progressToken", types("string", "number"))
              .put("required", false)
              .put("summary", "Asks for $/progress notifications, which carry this token."));
    }
    method.set("result", descriptor("result", resultSchema(operation)));
    ArrayNode errors = method.putArray("errors");
    for (RpcErrorCode code : description.errors()) {
      errors.addObject().put("$ref", "#/components/errors/" + code.name());
    }
    return method;
  }

  private static ObjectNode resultSchema(Dispatcher.Operation operation) {
    Class<?>[] alternatives = operation.description().results();
    if (alternatives.length == 0) {
      return schema(operation.method().getAnnotatedReturnType());
    }
    ObjectNode schema = object();
    ArrayNode oneOf = schema.putArray("oneOf");
    for (Class<?> alternative : alternatives) {
      oneOf.add(schema(alternative));
    }
    return schema;
  }

  private static ObjectNode descriptor(String name, ObjectNode schema) {
    ObjectNode descriptor = object().put("name", name);
    descriptor.set("schema", schema);
    return descriptor;
  }

  private static ObjectNode error(RpcErrorCode code) {
    ObjectNode error = object().put("code", code.code()).put("message", code.phrase());
    if (code == RpcErrorCode.FETCH_FAILED) {
      ObjectNode kinds = error.putObject("data").putObject("kind");
      for (FailureKind kind : FailureKind.values()) {
        kinds.put(kind.wireName(), kind.hint());
      }
    }
    return error;
  }

  private static ObjectNode schema(AnnotatedType annotated) {
    ObjectNode schema =
        annotated instanceof AnnotatedParameterizedType generic
            ? containerSchema(generic)
            : schema((Class<?>) annotated.getType());
    JsonNode type = schema.path("type");
    if (annotated.isAnnotationPresent(Nullable.class) && type.isTextual()) {
      schema.putArray("type").add(type).add("null");
    }
    return schema;
  }

  private static ObjectNode containerSchema(AnnotatedParameterizedType generic) {
    Type raw = ((ParameterizedType) generic.getType()).getRawType();
    AnnotatedType[] arguments = generic.getAnnotatedActualTypeArguments();
    ObjectNode schema;
    if (raw == List.class) {
      schema = types("array");
      schema.set("items", schema(arguments[0]));
    } else if (raw == Map.class) {
      schema = types("object");
      schema.set("additionalProperties", schema(arguments[1]));
    } else {
      throw new IllegalArgumentException("No schema for " + generic);
    }
    return schema;
  }

  private static ObjectNode schema(Class<?> type) {
    if (type == String.class || type == RpcMethods.Secret.class) {
      return types("string");
    }
    if (type == boolean.class || type == Boolean.class) {
      return types("boolean");
    }
    if (type == double.class || type == Double.class) {
      return types("number");
    }
    if (type == int.class || type == Integer.class || type == long.class || type == Long.class) {
      return types("integer");
    }
    if (type == void.class) {
      return types("null");
    }
    if (type == ObjectNode.class) {
      return types("object");
    }
    if (type.isEnum()) {
      ObjectNode schema = types("string");
      ArrayNode names = schema.putArray("enum");
      for (Object constant : type.getEnumConstants()) {
        names.add(JsonMessages.MAPPER.<JsonNode>valueToTree(constant));
      }
      return schema;
    }
    return type.isRecord() ? recordSchema(type) : object();
  }

  private static ObjectNode recordSchema(Class<?> type) {
    ObjectNode schema = types("object");
    ObjectNode properties = schema.putObject("properties");
    ArrayNode required = JsonMessages.MAPPER.createArrayNode();
    for (RecordComponent component : type.getRecordComponents()) {
      JsonProperty renamed = component.getAccessor().getAnnotation(JsonProperty.class);
      String name = renamed == null ? component.getName() : renamed.value();
      properties.set(name, schema(component.getAnnotatedType()));
      if (!isNullable(component)) {
        required.add(name);
      }
    }
    if (!required.isEmpty()) {
      schema.set("required", required);
    }
    return schema;
  }

  private static boolean isNullable(RecordComponent component) {
    return component.getAnnotatedType().isAnnotationPresent(Nullable.class);
  }

  private static ObjectNode types(String... names) {
    ObjectNode schema = object();
    if (names.length == 1) {
      return schema.put("type", names[0]);
    }
    ArrayNode types = schema.putArray("type");
    List.of(names).forEach(types::add);
    return schema;
  }

  private static ObjectNode object() {
    return JsonMessages.MAPPER.createObjectNode();
  }
}
