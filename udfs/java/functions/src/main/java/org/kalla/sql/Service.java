package org.kalla.sql;

import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.util.TimeZone;
import org.apache.beam.fn.harness.ExternalWorkerService;
import org.apache.beam.runners.fnexecution.artifact.ArtifactRetrievalService;
import org.apache.beam.sdk.expansion.service.ExpansionService;
import org.apache.beam.sdk.expansion.service.ExpansionServiceOptions;
import org.apache.beam.sdk.options.PipelineOptionsFactory;
import org.apache.beam.vendor.grpc.v1p69p0.io.grpc.BindableService;
import org.apache.beam.vendor.grpc.v1p69p0.io.grpc.Server;
import org.apache.beam.vendor.grpc.v1p69p0.io.grpc.netty.NettyServerBuilder;

/**
 * {@code org.kalla.sql.Service EXPANSION_PORT WORKER_PORT [HOST]}: expands SqlTransform for pipelines in Python,
 * and is the worker on which the expanded steps run. HOST is the address that both listen on and the steps find the
 * worker at; 127.0.0.1 unless given. There is no password: whoever reaches it can run code.
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
    // Beam's own mains listen on every address of the machine.
    Server workers = serve(host, worker, new ExternalWorkerService(PipelineOptionsFactory.create()));
    PipelineOptionsFactory.register(ExpansionServiceOptions.class);
    ExpansionService service =
        new ExpansionService(
            PipelineOptionsFactory.fromArgs(
                    "--defaultEnvironmentType=EXTERNAL",
                    "--defaultEnvironmentConfig=" + host + ":" + worker,
                    // The worker is this process: nothing but this jar need travel with a job.
                    "--filesToStage=" + Path.of(Service.class.getProtectionDomain().getCodeSource().getLocation().toURI()))
                .create());
    serve(host, expansion, service, new ArtifactRetrievalService());
    workers.awaitTermination();
  }

  private static Server serve(String host, int port, BindableService... services) throws Exception {
    NettyServerBuilder builder =
        NettyServerBuilder.forAddress(new InetSocketAddress(host, port)).maxInboundMessageSize(Integer.MAX_VALUE);
    for (BindableService service : services) {
      builder.addService(service);
    }
    return builder.build().start();
  }
}
