import org.codelibs.opensearch.runner.OpenSearchRunner;
import org.opensearch.common.settings.Settings;

/** One OpenSearch node on 127.0.0.1 that lives as long as another process: java OneNode.java FOLDER PORT PID. */
public class OneNode {
    public static void main(String[] args) throws Exception {
        OpenSearchRunner runner = new OpenSearchRunner();
        runner.onBuild((int number, Settings.Builder settings) -> {
            settings.put("network.host", "127.0.0.1");
            settings.put("http.port", args[1]);
            settings.put("transport.port", "0");
            settings.put("cluster.routing.allocation.disk.threshold_enabled", "false");
            settings.put("cluster.max_shards_per_node", "5000");
        });
        runner.build(OpenSearchRunner.newConfigs().basePath(args[0]).clusterName("kalla-tests").numOfNode(1));
        ProcessHandle.of(Long.parseLong(args[2])).ifPresent(process -> process.onExit().join());
        runner.close();
        runner.clean();
        System.exit(0);
    }
}
