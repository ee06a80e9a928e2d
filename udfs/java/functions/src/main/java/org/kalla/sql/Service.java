package org.kalla.sql;

import java.net.InetAddress;
import java.nio.file.Path;
import java.util.TimeZone;
import org.apache.beam.fn.harness.ExternalWorkerService;
import org.apache.beam.sdk.expansion.service.ExpansionService;
import org.apache.beam.sdk.options.PipelineOptionsFactory;
import org.apache.beam.sdk.fn.server.GrpcFnServer;
import org.apache.beam.sdk.fn.server.ServerFactory;

/**
 * {@code org.kalla.sql.Service EXPANSION_PORT WORKER_PORT [HOST]}: expands SqlTransform for pipelines in Python,
 * and is the worker on which the expanded steps run. HOST is how the cluster reaches the worker; 127.0.0.1 unless given.
 */
public final class Service {
  private Service() {}

  public static void main(String[] arguments) throws Exception {
    if (arguments.length < 2 || arguments.length > 3) {
      System.err.println("Usage: EXPANSION_PORT WORKER_PORT [HOST]");
      System.exit(2);
    }
    // The SQL engine hands timestamps over by the clock of the place, where an hour may be missing.
    TimeZone.setDefault(TimeZone.getTimeZone("UTC"));
    int expansion = Integer.parseInt(arguments[0]);
    int worker = Integer.parseInt(arguments[1]);
    String host = arguments.length > 2 ? arguments[2] : InetAddress.getByName("127.0.0.1").getHostAddress();
    ExternalWorkerService service = new ExternalWorkerService(PipelineOptionsFactory.create());
    // The factory of a fixed port: a pipeline must be told where the worker is before it runs.
    try (GrpcFnServer<ExternalWorkerService> server =
        GrpcFnServer.allocatePortAndCreateFor(
            service, ServerFactory.createWithPortSupplier(() -> worker))) {
      ExpansionService.main(
          new String[] {
            Integer.toString(expansion),
            "--defaultEnvironmentType=EXTERNAL",
            "--defaultEnvironmentConfig=" + host + ":" + worker,
            // The worker is this process: nothing but this jar need travel with a job.
            "--filesToStage=" + Path.of(Service.class.getProtectionDomain().getCodeSource().getLocation().toURI())
          });
    }
  }
}
