package io.anymatix.fetcher.rpc;

import com.fasterxml.jackson.databind.JsonNode;
import com.googlecode.jsonrpc4j.JsonRpcMethod;
import java.util.List;

/** The methods that section 7 of the JSON-RPC 2.0 specification calls. */
public interface SpecificationMethods {
  @RpcMethod(
      summary = "The difference of two numbers.",
      required = {"minuend", "subtrahend"})
  int subtract(Subtraction params);

  @RpcMethod(summary = "Takes anything.")
  void update(JsonNode params);

  @RpcMethod(summary = "The sum of the numbers.")
  int sum(JsonNode params);

  @JsonRpcMethod(value = "notify_sum", required = true)
  @RpcMethod(summary = "Takes anything.")
  void notifySum(JsonNode params);

  @JsonRpcMethod(value = "notify_hello", required = true)
  @RpcMethod(summary = "Takes anything.")
  void notifyHello(JsonNode params);

  @JsonRpcMethod(value = "get_data", required = true)
  @RpcMethod(summary = "Some data.")
  List<Object> getData();

  /** What to take from what, in positional order. */
  record Subtraction(int minuend, int subtrahend) {}

  /** Computes. */
  final class Calculator implements SpecificationMethods {
    @Override
    public int subtract(Subtraction params) {
      return params.minuend() - params.subtrahend();
    }

    @Override
    public void update(JsonNode params) {}

    @Override
    public int sum(JsonNode params) {
      int sum = 0;
      for (JsonNode number : params) {
        sum += number.intValue();
      }
      return sum;
    }

    @Override
    public void notifySum(JsonNode params) {}

    @Override
    public void notifyHello(JsonNode params) {}

    @Override
    public List<Object> getData() {
      return List.of("hello", 5);
    }
  }
}
