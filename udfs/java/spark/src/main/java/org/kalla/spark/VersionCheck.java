package org.kalla.spark;

import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.URLConnection;
import java.nio.charset.StandardCharsets;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.locks.LockSupport;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.spark.SparkContext;
import org.apache.spark.SparkContext$;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerExecutorAdded;
import org.apache.spark.scheduler.SparkListenerJobEnd;
import org.apache.spark.scheduler.SparkListenerJobStart;
import scala.Option;
import scala.collection.JavaConverters;

/**
 * Ends the jobs of a driver whose executors run another Spark. Such an executor may register and then drop every task
 * that it is sent, so that the job would wait for ever. Spark makes one for each application, as {@code
 * spark.extraListeners} says.
 *
 * <p>An executor does not tell its version, but the web page of its worker does, where its logs are. Where there is no
 * such page nothing is known, and nothing is ended.
 */
public final class VersionCheck extends SparkListener {
  private static final Pattern VERSION = Pattern.compile("class=\"version\"[^>]*>\\s*(([0-9]+\\.[0-9]+)[0-9.]*)");
  private static final String OWN = org.apache.spark.package$.MODULE$.SPARK_VERSION();
  private static final int PATIENCE_MILLIS = 3000;
  private static final int TRIES = 10;
  private static final long PAUSE_NANOS = 1_000_000_000L;
  private static final int MOST_BYTES = 1 << 20;

  private final Set<Integer> running = ConcurrentHashMap.newKeySet();
  private final Set<String> asked = ConcurrentHashMap.newKeySet();
  private volatile String refusal;

  @Override
  public void onExecutorAdded(SparkListenerExecutorAdded added) {
    JavaConverters.mapAsJavaMap(added.executorInfo().logUrlMap()).values().stream().findAny().ifPresent(this::ask);
  }

  @Override
  public void onJobStart(SparkListenerJobStart started) {
    running.add(started.jobId());
    endRefused();
  }

  @Override
  public void onJobEnd(SparkListenerJobEnd ended) {
    running.remove(ended.jobId());
  }

  /** Looks at a worker's page, on a thread of its own: the bus of events must not wait. */
  private void ask(String log) {
    URI page = URI.create(log).resolve("/");
    if (asked.add(page.toString())) {
      Thread thread = new Thread(() -> judge(page), "kalla-version-check");
      thread.setDaemon(true);
      thread.start();
    }
  }

  private void judge(URI page) {
    Matcher found = VERSION.matcher(text(page));
    if (found.find() && !OWN.startsWith(found.group(2) + ".")) {
      refusal = "Executors run Spark " + found.group(1) + " and the job server Spark " + OWN + ".";
      endRefused();
    }
  }

  private void endRefused() {
    Option<SparkContext> context = SparkContext$.MODULE$.getActive();
    if (refusal != null && context.isDefined()) {
      running.forEach(job -> context.get().cancelJob(job, refusal));
    }
  }

  /** The page, or nothing where nobody shows one. A worker that is busy starting its executors may need some tries. */
  private static String text(URI page) {
    for (int attempt = 0; attempt < TRIES; attempt++) {
      try {
        URLConnection connection = page.toURL().openConnection();
        connection.setConnectTimeout(PATIENCE_MILLIS);
        connection.setReadTimeout(PATIENCE_MILLIS);
        try (InputStream body = connection.getInputStream()) {
          return new String(body.readNBytes(MOST_BYTES), StandardCharsets.UTF_8);
        }
      } catch (IOException | IllegalArgumentException again) {
        LockSupport.parkNanos(PAUSE_NANOS);
      }
    }
    return "";
  }
}
