import io.github.centrifugal.centrifuge.*;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.HashMap;
import java.util.Map;
import java.util.StringJoiner;
import java.util.concurrent.ConcurrentHashMap;

/**
 * Clients of the stock Java SDK, led by the tests (harness/bridge.mjs): a command is a line of `name=value` between tabs, an
 * answer or an event is a line of JSON in which data is Base64.
 */
public class Bridge {
    private static final PrintStream OUT = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    private static final Map<String, Bridge> CLIENTS = new HashMap<>();

    private final String name;
    private final Client client;
    private final Map<String, TokenCallback> asked = new ConcurrentHashMap<>();

    public static void main(String[] args) throws Exception {
        var in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line; (line = in.readLine()) != null; ) {
            Map<String, String> given = new HashMap<>();
            for (String field : line.split("\t")) {
                given.put(field.substring(0, field.indexOf('=')), field.substring(field.indexOf('=') + 1));
            }
            String name = given.get("at");
            if (given.get("do").equals("open")) CLIENTS.put(name, new Bridge(name, given));
            else CLIENTS.get(name).does(given);
        }
        System.exit(0);
    }

    private Bridge(String name, Map<String, String> given) {
        this.name = name;
        Options options = new Options();
        options.setToken(given.getOrDefault("token", ""));
        if (given.containsKey("getToken")) options.setTokenGetter(new ConnectionTokenGetter() {
            @Override public void getConnectionToken(ConnectionTokenEvent event, TokenCallback done) { ask("", done); }
        });
        if (given.containsKey("name")) options.setName(given.get("name"));
        if (given.containsKey("version")) options.setVersion(given.get("version"));
        if (given.containsKey("data")) options.setData(bytes(given.get("data")));
        if (given.containsKey("timeout")) options.setTimeout(Integer.parseInt(given.get("timeout")));
        if (given.containsKey("minReconnectDelay")) options.setMinReconnectDelay(Integer.parseInt(given.get("minReconnectDelay")));
        if (given.containsKey("maxReconnectDelay")) options.setMaxReconnectDelay(Integer.parseInt(given.get("maxReconnectDelay")));
        if (given.containsKey("maxServerPingDelay")) options.setMaxServerPingDelay(Integer.parseInt(given.get("maxServerPingDelay")));
        // Whatever proxy this machine is behind, the server is on it.
        options.setProxy(java.net.Proxy.NO_PROXY);
        this.client = new Client(given.get("url"), options, new OfClient());
    }

    private void does(Map<String, String> given) throws Exception {
        String channel = given.get("channel");
        String id = given.get("id");
        byte[] data = given.containsKey("data") ? bytes(given.get("data")) : new byte[0];
        Subscription subscription = channel == null ? null : client.getSubscription(channel);
        boolean by = given.containsKey("bySubscription");
        switch (given.get("do")) {
            case "connect": client.connect(); break;
            case "disconnect": client.disconnect(); break;
            case "token": token(given); break;
            case "new": client.newSubscription(channel, options(given), new OfSubscription()); break;
            case "remove": client.removeSubscription(subscription); break;
            case "subscribe": subscription.subscribe(); break;
            case "unsubscribe": subscription.unsubscribe(); break;
            case "send": client.send(data, error -> answer(id, error, null)); break;
            case "rpc": client.rpc(given.get("method"), data, (error, result) -> answer(id, error, error != null ? null : field("data", result.getData()))); break;
            case "publish":
                if (by) subscription.publish(data, (error, result) -> answer(id, error, ""));
                else client.publish(channel, data, (error, result) -> answer(id, error, ""));
                break;
            case "history":
                if (by) subscription.history(history(given), (error, result) -> answer(id, error, error != null ? null : of(result)));
                else client.history(channel, history(given), (error, result) -> answer(id, error, error != null ? null : of(result)));
                break;
            case "presence":
                if (by) subscription.presence((error, result) -> answer(id, error, error != null ? null : of(result)));
                else client.presence(channel, (error, result) -> answer(id, error, error != null ? null : of(result)));
                break;
            case "presenceStats":
                if (by) subscription.presenceStats((error, result) -> answer(id, error, error != null ? null : of(result)));
                else client.presenceStats(channel, (error, result) -> answer(id, error, error != null ? null : of(result)));
                break;
            default: throw new IllegalArgumentException(given.get("do"));
        }
    }

    private SubscriptionOptions options(Map<String, String> given) {
        SubscriptionOptions options = new SubscriptionOptions();
        options.setToken(given.getOrDefault("token", ""));
        if (given.containsKey("getToken")) options.setTokenGetter(new SubscriptionTokenGetter() {
            @Override public void getSubscriptionToken(SubscriptionTokenEvent event, TokenCallback done) { ask(event.getChannel(), done); }
        });
        if (given.containsKey("data")) options.setData(bytes(given.get("data")));
        if (given.containsKey("minResubscribeDelay")) options.setMinResubscribeDelay(Integer.parseInt(given.get("minResubscribeDelay")));
        if (given.containsKey("maxResubscribeDelay")) options.setMaxResubscribeDelay(Integer.parseInt(given.get("maxResubscribeDelay")));
        options.setPositioned(given.containsKey("positioned"));
        options.setRecoverable(given.containsKey("recoverable"));
        options.setJoinLeave(given.containsKey("joinLeave"));
        return options;
    }

    private static HistoryOptions history(Map<String, String> given) {
        HistoryOptions.Builder builder = new HistoryOptions.Builder().withReverse(given.containsKey("reverse"));
        if (given.containsKey("limit")) builder.withLimit(Integer.parseInt(given.get("limit")));
        if (given.containsKey("offset")) builder.withSince(new StreamPosition(Long.parseLong(given.get("offset")), given.get("epoch")));
        return builder.build();
    }

    private void ask(String channel, TokenCallback done) {
        asked.put(channel, done);
        event("", "ask", text("of", channel));
    }

    private void token(Map<String, String> given) {
        TokenCallback done = asked.remove(given.get("of"));
        if (given.containsKey("unauthorized")) done.Done(new UnauthorizedException(), "");
        else if (given.containsKey("failed")) done.Done(new Exception(given.get("failed")), "");
        else done.Done(null, given.getOrDefault("token", ""));
    }

    private class OfClient extends EventListener {
        @Override public void onConnecting(Client client, ConnectingEvent event) { event("", "connecting", code(event.getCode(), event.getReason())); }
        @Override public void onConnected(Client client, ConnectedEvent event) { event("", "connected", text("client", event.getClient()), field("data", event.getData())); }
        @Override public void onDisconnected(Client client, DisconnectedEvent event) { event("", "disconnected", code(event.getCode(), event.getReason())); }
        @Override public void onError(Client client, ErrorEvent event) { event("", "error", "\"error\":{" + code(event.getError()) + "}"); }
        @Override public void onMessage(Client client, MessageEvent event) { event("", "message", field("data", event.getData())); }
        @Override public void onSubscribed(Client client, ServerSubscribedEvent event) {
            event("", "subscribed", text("channel", event.getChannel()), subscribed(event.wasRecovering(), event.getRecovered(), event.getPositioned(), event.getRecoverable(), event.getStreamPosition()), field("data", event.getData()));
        }
        @Override public void onSubscribing(Client client, ServerSubscribingEvent event) { event("", "subscribing", text("channel", event.getChannel())); }
        @Override public void onUnsubscribed(Client client, ServerUnsubscribedEvent event) { event("", "unsubscribed", text("channel", event.getChannel())); }
        @Override public void onPublication(Client client, ServerPublicationEvent event) {
            event("", "publication", text("channel", event.getChannel()), publication(event.getData(), event.getOffset(), event.getInfo(), event.getTags()));
        }
        @Override public void onJoin(Client client, ServerJoinEvent event) { event("", "join", text("channel", event.getChannel()), info(event.getInfo())); }
        @Override public void onLeave(Client client, ServerLeaveEvent event) { event("", "leave", text("channel", event.getChannel()), info(event.getInfo())); }
    }

    private class OfSubscription extends SubscriptionEventListener {
        @Override public void onSubscribing(Subscription of, SubscribingEvent event) { event(of.getChannel(), "subscribing", code(event.getCode(), event.getReason())); }
        @Override public void onSubscribed(Subscription of, SubscribedEvent event) {
            event(of.getChannel(), "subscribed", subscribed(event.wasRecovering(), event.getRecovered(), event.getPositioned(), event.getRecoverable(), event.getStreamPosition()), field("data", event.getData()));
        }
        @Override public void onUnsubscribed(Subscription of, UnsubscribedEvent event) { event(of.getChannel(), "unsubscribed", code(event.getCode(), event.getReason())); }
        @Override public void onPublication(Subscription of, PublicationEvent event) {
            event(of.getChannel(), "publication", publication(event.getData(), event.getOffset(), event.getInfo(), event.getTags()));
        }
        @Override public void onJoin(Subscription of, JoinEvent event) { event(of.getChannel(), "join", info(event.getInfo())); }
        @Override public void onLeave(Subscription of, LeaveEvent event) { event(of.getChannel(), "leave", info(event.getInfo())); }
        @Override public void onError(Subscription of, SubscriptionErrorEvent event) { event(of.getChannel(), "error", "\"error\":{" + code(event.getError()) + "}"); }
    }

    // What is written.

    private void event(String of, String event, String... fields) {
        say(text("of", of), text("event", event), String.join(",", fields));
    }

    private void answer(String id, Throwable error, String result) {
        if (error != null) say("\"answer\":" + id, "\"error\":{" + code(error) + "}");
        else say("\"answer\":" + id, "\"result\":{" + (result == null ? "" : result) + "}");
    }

    private void say(String... fields) {
        StringJoiner all = new StringJoiner(",", "{", "}").add(text("at", name));
        for (String field : fields) if (!field.isEmpty()) all.add(field);
        OUT.println(all);
    }

    private static String code(int code, String reason) {
        return "\"code\":" + code + "," + text("reason", reason);
    }

    private static String code(Throwable error) {
        for (Throwable cause = error; cause != null; cause = cause.getCause()) {
            if (cause instanceof ReplyError) return "\"code\":" + ((ReplyError) cause).getCode() + "," + text("message", cause.getMessage());
        }
        return "\"code\":0," + text("message", String.valueOf(error));
    }

    private static String subscribed(boolean wasRecovering, boolean recovered, boolean positioned, boolean recoverable, StreamPosition position) {
        // What is in it, the SDK keeps to itself.
        String at = position == null ? "" : ",\"streamPosition\":{}";
        return "\"wasRecovering\":" + wasRecovering + ",\"recovered\":" + recovered + ",\"positioned\":" + positioned + ",\"recoverable\":" + recoverable + at;
    }

    private static String publication(byte[] data, long offset, ClientInfo info, Map<String, String> tags) {
        StringJoiner all = new StringJoiner(",").add(field("data", data)).add("\"offset\":" + offset).add(info(info));
        if (tags != null && !tags.isEmpty()) {
            StringJoiner each = new StringJoiner(",", "\"tags\":{", "}");
            tags.forEach((name, value) -> each.add(text(name, value)));
            all.add(each.toString());
        }
        return all.toString();
    }

    private static String info(ClientInfo info) {
        return "\"info\":{" + client(info) + "}";
    }

    private static String client(ClientInfo info) {
        return text("user", info.getUser()) + "," + text("client", info.getClient()) + "," + field("connInfo", info.getConnInfo()) + "," + field("chanInfo", info.getChanInfo());
    }

    private static String of(HistoryResult result) {
        StringJoiner all = new StringJoiner(",", "\"publications\":[", "]");
        for (Publication one : result.getPublications()) all.add("{" + publication(one.getData(), one.getOffset(), one.getInfo(), null) + "}");
        return all + ",\"offset\":" + result.getOffset() + "," + text("epoch", result.getEpoch());
    }

    private static String of(PresenceResult result) {
        StringJoiner all = new StringJoiner(",", "\"clients\":{", "}");
        result.getClients().forEach((id, info) -> all.add(quoted(id) + ":{" + client(info) + "}"));
        return all.toString();
    }

    private static String of(PresenceStatsResult result) {
        return "\"numClients\":" + result.getNumClients() + ",\"numUsers\":" + result.getNumUsers();
    }

    private static String field(String name, byte[] data) {
        return text(name, data == null ? "" : Base64.getEncoder().encodeToString(data));
    }

    private static String text(String name, String value) {
        return quoted(name) + ":" + quoted(value == null ? "" : value);
    }

    private static String quoted(String text) {
        StringBuilder all = new StringBuilder("\"");
        for (char one : text.toCharArray()) {
            if (one < ' ' || one == '"' || one == '\\') all.append(String.format("\\u%04x", (int) one));
            else all.append(one);
        }
        return all.append('"').toString();
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }
}
