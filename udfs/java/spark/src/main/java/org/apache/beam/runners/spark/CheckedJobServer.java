package org.apache.beam.runners.spark;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.util.Arrays;
import org.apache.beam.model.pipeline.v1.RunnerApi;
import org.apache.beam.runners.jobsubmission.JobInvocation;
import org.apache.beam.runners.jobsubmission.JobInvoker;
import org.apache.beam.runners.jobsubmission.JobServerDriver;
import org.apache.beam.runners.spark.SparkJobServerDriver.SparkServerConfiguration;
import org.apache.beam.sdk.io.FileSystems;
import org.apache.beam.sdk.options.PipelineOptionsFactory;
import org.apache.beam.vendor.grpc.v1p69p0.com.google.protobuf.Struct;
import org.apache.beam.vendor.grpc.v1p69p0.io.grpc.Status;
import org.apache.beam.vendor.guava.v32_1_2_jre.com.google.common.util.concurrent.ListeningExecutorService;
import org.kohsuke.args4j.CmdLineParser;

/**
 * Beam's job server for Spark, which refuses a job at once when no master listens; takes Beam's arguments.
 *
 * <p>Spark itself tries three times, twenty seconds each, which no setting of it changes. The class lies in Beam's
 * package because what it calls is open to that package alone.
 */
public final class CheckedJobServer extends JobServerDriver {
  private static final String SCHEME = "spark://";
  private static final int CONNECT_MILLIS = 3000;

  private CheckedJobServer(SparkServerConfiguration configuration) {
    super(
        configuration,
        createJobServerFactory(configuration),
        createArtifactServerFactory(configuration),
        () -> new Invoker(configuration));
  }

  public static void main(String[] arguments) throws Exception {
    FileSystems.setDefaultPipelineOptions(PipelineOptionsFactory.create());
    SparkServerConfiguration configuration = new SparkServerConfiguration();
    new CmdLineParser(configuration).parseArgument(arguments);
    new CheckedJobServer(configuration).run();
  }

  /** Whether one of the masters in {@code spark://host:port,host:port} listens; true for what is no such address. */
  static boolean listens(String masters) {
    return !masters.startsWith(SCHEME)
        || Arrays.stream(masters.substring(SCHEME.length()).split(",")).anyMatch(CheckedJobServer::takesConnections);
  }

  private static boolean takesConnections(String address) {
    int colon = address.lastIndexOf(':');
    try (Socket socket = new Socket()) {
      String host = address.substring(0, colon);
      socket.connect(new InetSocketAddress(host, Integer.parseInt(address.substring(colon + 1))), CONNECT_MILLIS);
      return true;
    } catch (IOException nobody) {
      return false;
    }
  }

  private static final class Invoker extends JobInvoker {
    private final SparkJobInvoker jobs;
    private final String masters;

    Invoker(SparkServerConfiguration configuration) {
      super("kalla-spark-%d");
      jobs = SparkJobInvoker.create(configuration);
      masters = configuration.getSparkMasterUrl();
    }

    @Override
    protected JobInvocation invokeWithExecutor(
        RunnerApi.Pipeline pipeline, Struct options, String token, ListeningExecutorService executor) {
      if (!listens(masters)) {
        throw Status.UNAVAILABLE.withDescription("No Spark master listens at " + masters + ".").asRuntimeException();
      }
      return jobs.invokeWithExecutor(pipeline, options, token, executor);
    }
  }
}
