import java.util.List;
import java.util.Map;
import org.opensearch.common.settings.Settings;
import org.opensearch.env.Environment;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;
import org.opensearch.transport.Netty4Plugin;

/** A node of OpenSearch with HTTP, and with none of the other modules of a distribution. */
public class Server extends Node {
    private Server(Environment environment) {
        super(environment, List.of(Netty4Plugin.class), true);
    }

    /** Takes settings as `name=value`. */
    public static void main(String[] settings) throws Exception {
        Settings.Builder all = Settings.builder();
        for (String setting : settings) {
            String[] pair = setting.split("=", 2);
            all.put(pair[0], pair[1]);
        }
        Server server = new Server(InternalSettingsPreparer.prepareEnvironment(all.build(), Map.of(), null, () -> "real"));
        server.start();
        // Its own threads end with the process.
        Thread.currentThread().join();
    }
}
