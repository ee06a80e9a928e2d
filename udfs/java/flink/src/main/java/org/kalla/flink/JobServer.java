package org.kalla.flink;

import java.util.List;
import org.apache.beam.model.pipeline.v1.RunnerApi;
import org.apache.beam.runners.flink.FlinkJobInvoker;
import org.apache.beam.runners.flink.FlinkJobServerDriver;
import org.apache.beam.runners.flink.FlinkJobServerDriver.FlinkServerConfiguration;
import org.apache.beam.runners.flink.FlinkPipelineOptions;
import org.apache.beam.runners.flink.FlinkPipelineRunner;
import org.apache.beam.runners.jobsubmission.JobInvocation;
import org.apache.beam.runners.jobsubmission.PortablePipelineRunner;
import org.apache.beam.sdk.io.FileSystems;
import org.apache.beam.sdk.options.PipelineOptionsFactory;
import org.apache.beam.vendor.guava.v32_1_2_jre.com.google.common.util.concurrent.ListeningExecutorService;

/**
 * Beam's job server for a Flink whose processes have its jars already; takes Beam's arguments.
 *
 * <p>Beam's own sends its whole class path, 157 MB, to the JobManager and from there to every TaskManager with each
 * job. That is most of the time that a small run takes, and fills their disks.
 */
public final class JobServer {
  private static final String CONFIGURATION = "--flink-conf-dir=";

  private JobServer() {}

  public static void main(String[] arguments) throws Exception {
    FileSystems.setDefaultPipelineOptions(PipelineOptionsFactory.create());
    FlinkServerConfiguration configuration = FlinkJobServerDriver.parseArgs(arguments);
    Invoker invoker = new Invoker(configuration, configurationFolder(arguments));
    FlinkJobServerDriver.fromConfig(configuration, () -> invoker).run();
  }

  /** The value of Beam's {@code --flink-conf-dir}, which its configuration shows to its own package only. */
  private static String configurationFolder(String[] arguments) {
    for (String argument : arguments) {
      if (argument.startsWith(CONFIGURATION)) {
        return argument.substring(CONFIGURATION.length());
      }
    }
    throw new IllegalArgumentException(CONFIGURATION + "FOLDER is missing.");
  }

  private static final class Invoker extends FlinkJobInvoker {
    private final String configuration;

    Invoker(FlinkServerConfiguration server, String configuration) {
      super(server);
      this.configuration = configuration;
    }

    @Override
    protected JobInvocation createJobInvocation(
        String invocation,
        String token,
        ListeningExecutorService executor,
        RunnerApi.Pipeline pipeline,
        FlinkPipelineOptions options,
        PortablePipelineRunner ignored) {
      FlinkPipelineRunner runner = new FlinkPipelineRunner(options, configuration, List.of());
      return super.createJobInvocation(invocation, token, executor, pipeline, options, runner);
    }
  }
}
