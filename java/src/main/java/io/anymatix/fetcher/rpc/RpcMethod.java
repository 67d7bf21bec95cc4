package io.anymatix.fetcher.rpc;

import java.lang.annotation.Documented;
import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;

/**
 * A method that clients can call, and what cannot be read from its signature.
 *
 * <p>The Java name is the name on the wire unless {@code @JsonRpcMethod} gives another. Parameters
 * are one record, whose components in their order are the parameters on the wire, or a {@code
 * JsonNode} that takes them as sent; after it, or alone, may stand a {@link Call}.
 */
@Documented
@Retention(RetentionPolicy.RUNTIME)
@Target(ElementType.METHOD)
public @interface RpcMethod {
  /** One sentence for {@code rpc.discover}. */
  String summary();

  /** Parameters that must be there, and not be an empty text. */
  String[] required() default {};

  /** Whether a {@code progressToken} is one more parameter, the last. */
  boolean progress() default false;

  /** What it results in, if that is one of several and so not the method's type. */
  Class<?>[] results() default {};

  /** When it runs, relative to other requests. */
  Order order() default Order.CONCURRENT;

  /** What it answers besides the errors that any request can meet. */
  RpcErrorCode[] errors() default {};

  /** When a request runs, relative to the requests around it. */
  enum Order {
    /** Beside all others, but after every earlier {@link #ORDERED} one. */
    CONCURRENT,
    /**
     * As they were sent, and later concurrent requests wait for it: a client may send {@code
     * initialize} and {@code fetch} without waiting in between.
     */
    ORDERED,
    /** At once, however busy the server is; for methods that never wait for disk or network. */
    IMMEDIATE
  }
}
