package io.anymatix.fetcher.rpc;

import com.fasterxml.jackson.annotation.JsonSetter;
import com.fasterxml.jackson.annotation.Nulls;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.exc.InputCoercionException;
import com.fasterxml.jackson.databind.BeanDescription;
import com.fasterxml.jackson.databind.DeserializationConfig;
import com.fasterxml.jackson.databind.DeserializationContext;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JavaType;
import com.fasterxml.jackson.databind.JsonDeserializer;
import com.fasterxml.jackson.databind.JsonMappingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.JsonSerializable;
import com.fasterxml.jackson.databind.MapperFeature;
import com.fasterxml.jackson.databind.SerializerProvider;
import com.fasterxml.jackson.databind.cfg.CoercionAction;
import com.fasterxml.jackson.databind.cfg.CoercionInputShape;
import com.fasterxml.jackson.databind.deser.std.JsonNodeDeserializer;
import com.fasterxml.jackson.databind.exc.MismatchedInputException;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.jsontype.TypeSerializer;
import com.fasterxml.jackson.databind.module.SimpleDeserializers;
import com.fasterxml.jackson.databind.module.SimpleModule;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.databind.node.POJONode;
import com.fasterxml.jackson.databind.type.LogicalType;
import com.googlecode.jsonrpc4j.ErrorResolver.JsonError;
import com.googlecode.jsonrpc4j.JsonRpcBasicServer;
import com.googlecode.jsonrpc4j.JsonRpcMethod;
import io.anymatix.fetcher.failure.InvalidParamsException;
import java.io.IOException;
import java.lang.reflect.Method;
import java.lang.reflect.RecordComponent;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Finds the method of a request, binds its params strictly, and has jsonrpc4j call it.
 *
 * <p>jsonrpc4j is handed arguments that are bound already. Left to itself it would turn {@code 5}
 * into {@code "5"}, refuse params that a method does not know, name no param in its errors, and
 * print params, tokens included, in its debug log.
 */
final class Dispatcher {
  private static final String PROGRESS_TOKEN = "progressToken";

  private final Map<String, Operation> operations;
  private final JsonMapper binder = strictMapper();
  private final Library library;

  /**
   * @param contract a public interface whose methods with {@link RpcMethod} are the protocol
   * @param methods what the calls end in; an implementation of the contract
   */
  Dispatcher(Class<?> contract, Object methods) {
    this.operations = operations(contract);
    this.library = new Library(contract, methods);
  }

  /** The method of this name on the wire, or null. */
  @Nullable Operation find(String name) {
    return operations.get(name);
  }

  /** Every method of a contract by its name on the wire, in alphabetical order. */
  static Map<String, Operation> operations(Class<?> contract) {
    List<Operation> found = new ArrayList<>();
    for (Method method : contract.getMethods()) {
      if (method.isAnnotationPresent(RpcMethod.class)) {
        found.add(Operation.of(method));
      }
    }
    found.sort((a, b) -> a.name().compareTo(b.name()));
    Map<String, Operation> byName = new LinkedHashMap<>();
    for (Operation operation : found) {
      if (byName.put(operation.name(), operation) != null) {
        throw new IllegalArgumentException("Two methods are named " + operation.name());
      }
    }
    return byName;
  }

  /**
   * Calls a method and waits for its end.
   *
   * @throws InvalidParamsException if the params do not fit
   */
  Call.Outcome invoke(Operation operation, @Nullable JsonNode params, Call call) {
    ArrayNode arguments = JsonMessages.MAPPER.createArrayNode();
    if (operation.takesParamsAsSent()) {
      arguments.add(Carried.node(params == null ? JsonMessages.MAPPER.nullNode() : params));
    } else {
      ObjectNode named = named(operation, params);
      JsonNode token = named.remove(PROGRESS_TOKEN);
      if (token != null && !token.isNull()) {
        if (!token.isTextual() && !token.isNumber()) {
          throw new InvalidParamsException("\"progressToken\" must be a string or a number.");
        }
        call.setProgressToken(token);
      }
      requireAll(operation, named);
      if (operation.paramsType() != null) {
        arguments.add(Carried.node(bind(named, operation.paramsType())));
      }
    }
    if (operation.takesCall()) {
      arguments.add(Carried.node(call));
    }
    return library.call(operation.name(), arguments);
  }

  private static ObjectNode named(Operation operation, @Nullable JsonNode params) {
    if (params == null) {
      return JsonMessages.MAPPER.createObjectNode();
    }
    if (params instanceof ObjectNode object) {
      return object;
    }
    if (params.size() == 1 && params.get(0) instanceof ObjectNode only) {
      return only;
    }
    List<String> names = operation.paramNames();
    if (params.size() > names.size()) {
      throw new InvalidParamsException(
          "%s takes at most %d params, not %d."
              .formatted(operation.name(), names.size(), params.size()));
    }
    ObjectNode named = JsonMessages.MAPPER.createObjectNode();
    for (int i = 0; i < params.size(); i++) {
      named.set(names.get(i), params.get(i));
    }
    return named;
  }

  private static void requireAll(Operation operation, ObjectNode named) {
    for (String name : operation.description().required()) {
      JsonNode value = named.get(name);
      if (value == null || value.isNull()) {
        throw new InvalidParamsException(
            "%s needs the param \"%s\".".formatted(operation.name(), name));
      }
      if (value.isTextual() && value.textValue().isEmpty()) {
        throw new InvalidParamsException("\"%s\" must not be empty.".formatted(name));
      }
    }
  }

  private Object bind(ObjectNode named, Class<?> type) {
    try {
      return binder.treeToValue(named, type);
    } catch (JsonMappingException e) {
      throw new InvalidParamsException(
          "\"%s\" must be %s.".formatted(path(e.getPath()), expected(e)));
    } catch (IOException e) {
      throw new IllegalStateException("A JSON tree can always be read.", e);
    }
  }

  /** Such as {@code items[1].url}. */
  private static String path(List<JsonMappingException.Reference> references) {
    StringBuilder path = new StringBuilder();
    for (JsonMappingException.Reference reference : references) {
      if (reference.getFieldName() == null) {
        path.append('[').append(reference.getIndex()).append(']');
      } else {
        path.append(path.isEmpty() ? "" : ".").append(reference.getFieldName());
      }
    }
    return path.toString();
  }

  private static String expected(JsonMappingException e) {
    Class<?> type = null;
    String range = "";
    if (e instanceof MismatchedInputException mismatch) {
      type = mismatch.getTargetType();
    } else if (e.getCause() instanceof InputCoercionException overflow) {
      type = overflow.getTargetType();
      range = " in range";
    }
    if (type == null) {
      return "of another type";
    }
    if (type == String.class) {
      return "a string";
    }
    if (type == Boolean.class || type == boolean.class) {
      return "true or false";
    }
    if (type == Double.class || type == double.class) {
      return "a number" + range;
    }
    if (Number.class.isAssignableFrom(type) || type.isPrimitive()) {
      return "an integer" + range;
    }
    return Collection.class.isAssignableFrom(type) ? "an array" : "an object";
  }

  private static JsonMapper strictMapper() {
    JsonMapper mapper =
        JsonMapper.builder()
            .disable(MapperFeature.ALLOW_COERCION_OF_SCALARS)
            .disable(DeserializationFeature.ACCEPT_FLOAT_AS_INT)
            .disable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES)
            .withCoercionConfig(
                LogicalType.Textual,
                text -> {
                  text.setCoercion(CoercionInputShape.Integer, CoercionAction.Fail);
                  text.setCoercion(CoercionInputShape.Float, CoercionAction.Fail);
                  text.setCoercion(CoercionInputShape.Boolean, CoercionAction.Fail);
                })
            .build();
    // An absent list is null; a list that holds null is a mistake.
    mapper.setDefaultSetterInfo(JsonSetter.Value.forContentNulls(Nulls.FAIL));
    return mapper;
  }

  /**
   * One method as the wire sees it.
   *
   * @param paramsType the record of its params; null if it takes none, or takes them as sent
   * @param paramNames in positional order
   */
  record Operation(
      String name,
      Method method,
      RpcMethod description,
      @Nullable Class<?> paramsType,
      boolean takesParamsAsSent,
      boolean takesCall,
      List<String> paramNames) {

    private static Operation of(Method method) {
      JsonRpcMethod renamed = method.getAnnotation(JsonRpcMethod.class);
      RpcMethod description = method.getAnnotation(RpcMethod.class);
      List<Class<?>> types = new ArrayList<>(Arrays.asList(method.getParameterTypes()));
      boolean takesCall = types.remove(Call.class);
      Class<?> first = types.isEmpty() ? null : types.get(0);
      boolean asSent = first == JsonNode.class;
      if (types.size() > 1 || (first != null && !asSent && !first.isRecord())) {
        throw new IllegalArgumentException(method + " must take one record of params");
      }
      Class<?> paramsType = asSent ? null : first;
      List<String> names = new ArrayList<>();
      if (paramsType != null) {
        for (RecordComponent component : paramsType.getRecordComponents()) {
          names.add(component.getName());
        }
      }
      if (description.progress()) {
        names.add(PROGRESS_TOKEN);
      }
      return new Operation(
          renamed == null ? method.getName() : renamed.value(),
          method,
          description,
          paramsType,
          asSent,
          takesCall,
          List.copyOf(names));
    }
  }

  /** jsonrpc4j's server without its streams. */
  private static final class Library extends JsonRpcBasicServer {
    /** Any will do: the answer's own id is set by {@link Call}. */
    private static final int ID = 0;

    Library(Class<?> contract, Object methods) {
      super(carryingMapper(), methods, contract);
      setErrorResolver((thrown, method, arguments) -> RpcErrors.of(thrown));
      setShouldLogInvocationErrors(false); // they may quote what is secret
    }

    Call.Outcome call(String method, ArrayNode arguments) {
      ObjectNode request = JsonMessages.MAPPER.createObjectNode();
      request.put(JSONRPC, VERSION).put(JsonRpcBasicServer.ID, ID).put(METHOD, method);
      request.set(PARAMS, arguments);
      try {
        JsonNode answer = handleJsonNodeRequest(request).getResponse();
        JsonNode error = answer.get(ERROR);
        return error == null
            ? new Call.Outcome(answer.get(RESULT), null)
            : new Call.Outcome(
                null,
                new JsonError(
                    error.get(ERROR_CODE).intValue(),
                    error.get(ERROR_MESSAGE).textValue(),
                    error.get(DATA)));
      } catch (IOException e) {
        return new Call.Outcome(null, RpcErrors.of(e));
      }
    }

    /** Writes results; reads nothing but arguments that are carried. */
    private static JsonMapper carryingMapper() {
      SimpleModule module = new SimpleModule("carried");
      module.setDeserializers(
          new SimpleDeserializers() {
            private static final long serialVersionUID = 1;

            @Override
            public JsonDeserializer<?> findBeanDeserializer(
                JavaType type, DeserializationConfig config, BeanDescription description) {
              return Carried.TAKEN_OUT;
            }

            @Override
            public JsonDeserializer<?> findTreeNodeDeserializer(
                Class<? extends JsonNode> type,
                DeserializationConfig config,
                BeanDescription description) {
              return Carried.TAKEN_OUT;
            }
          });
      return JsonMapper.builder().addModule(module).build();
    }
  }

  /** An argument on its way through jsonrpc4j, in a form that no log can print. */
  private static final class Carried implements JsonSerializable {
    static final JsonDeserializer<Object> TAKEN_OUT =
        new JsonDeserializer<>() {
          @Override
          public Object deserialize(JsonParser parser, DeserializationContext context)
              throws IOException {
            return parser.getEmbeddedObject() instanceof Carried carried
                ? carried.argument
                // Jackson reads trees with it too, when it turns results into trees.
                : JsonNodeDeserializer.getDeserializer(JsonNode.class).deserialize(parser, context);
          }
        };

    private final Object argument;

    private Carried(Object argument) {
      this.argument = argument;
    }

    static POJONode node(Object argument) {
      return new POJONode(new Carried(argument));
    }

    @Override
    public void serialize(JsonGenerator generator, SerializerProvider provider) throws IOException {
      generator.writeString("(not shown)");
    }

    @Override
    public void serializeWithType(
        JsonGenerator generator, SerializerProvider provider, TypeSerializer type)
        throws IOException {
      serialize(generator, provider);
    }
  }
}
