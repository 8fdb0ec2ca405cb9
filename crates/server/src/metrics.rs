//! `/metrics` in the Prometheus text format: the hub's counters and the process's figures, read when they are asked for.

use crate::process;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabelSet, EncodeLabelValue, EncodeMetric, LabelValueEncoder,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{self, ConstCounter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use std::fmt::Error;
use std::sync::{Arc, PoisonError, RwLock};
use tidings_chat::Chat;
use tidings_hub::Hub;
use tidings_serve::{Handle, Stats};

pub(crate) struct Metrics {
    /// Written at the start alone, so that scrapes do not wait for one another.
    registry: RwLock<Registry>,
    /// From the moment a publication reaches the hub until it is in every subscriber's outbox.
    pub(crate) send_latency: Histogram,
    /// From a chat message's arrival until it is durable and announced.
    pub(crate) post_latency: Histogram,
    /// Calls of the server API.
    pub(crate) api_calls: ApiCalls,
    /// Requests to the server API without a good key.
    pub(crate) api_unauthorized: counter::Counter,
    /// Answers over HTTP that are errors.
    pub(crate) http_errors: HttpErrors,
}

/// Answers over HTTP that are errors, by status.
#[derive(Clone, Debug, Default)]
pub(crate) struct HttpErrors(Family<HttpError, counter::Counter>);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HttpError {
    status: u16,
}

impl HttpErrors {
    pub(crate) fn count(&self, status: u16) {
        self.0.get_or_create(&HttpError { status }).inc();
    }
}

/// Calls of the server API, by key, method and what came of them; as many series as keys and methods are known.
#[derive(Clone, Debug, Default)]
pub(crate) struct ApiCalls(Family<ApiCall, counter::Counter>);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ApiCall {
    key: ArcText,
    method: &'static str,
    /// Of the error; 0 when there was none.
    code: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ArcText(Arc<str>);

impl EncodeLabelValue for ArcText {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), Error> {
        EncodeLabelValue::encode(&&*self.0, encoder)
    }
}

impl ApiCalls {
    pub(crate) fn count(&self, key: &Arc<str>, method: &'static str, code: u32) {
        self.0.get_or_create(&ApiCall { key: ArcText(key.clone()), method, code }).inc();
    }
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("tidings");
        // 10 µs to 5 s: below is noise, above is an outage.
        let send_latency = Histogram::new(exponential_buckets(0.000_01, 2.0, 20));
        let post_latency = Histogram::new(exponential_buckets(0.000_1, 2.0, 16));
        registry.register_with_unit(
            "send_latency",
            "Time from a publication's arrival in the hub until it is queued for every subscriber",
            Unit::Seconds,
            send_latency.clone(),
        );
        registry.register_with_unit(
            "post_latency",
            "Time from a chat message's arrival until it is durable and announced",
            Unit::Seconds,
            post_latency.clone(),
        );
        let (api_calls, api_unauthorized) = (ApiCalls::default(), counter::Counter::default());
        registry.register(
            "api_calls",
            "Calls of the server API, by key, method and code of the error (0: none)",
            api_calls.0.clone(),
        );
        registry.register(
            "api_unauthorized",
            "Requests to the server API without a good key",
            api_unauthorized.clone(),
        );
        let http_errors = HttpErrors::default();
        registry.register("http_errors", "Answers over HTTP that are errors, by status", http_errors.0.clone());
        registry.register_collector(Box::new(Watched(of_process)));
        Self { registry: RwLock::new(registry), send_latency, post_latency, api_calls, api_unauthorized, http_errors }
    }

    /// Adds figures that are read at every scrape.
    pub(crate) fn watch(&self, read: impl Fn() -> Vec<Figure> + Send + Sync + 'static) {
        let mut registry = self.registry.write().unwrap_or_else(PoisonError::into_inner);
        registry.register_collector(Box::new(Watched(read)));
    }

    pub(crate) fn render(&self) -> Result<String, Error> {
        let mut text = String::new();
        let registry = self.registry.read().unwrap_or_else(PoisonError::into_inner);
        prometheus_client::encoding::text::encode(&mut text, &registry)?;
        Ok(text)
    }
}

/// One number at one moment, with its name and help.
pub(crate) enum Figure {
    /// Goes up and down.
    Gauge(&'static str, &'static str, f64),
    /// Goes up only; `_total` is added to the name.
    Counter(&'static str, &'static str, f64),
    /// The same, one for each code.
    Codes(&'static str, &'static str, Vec<(u32, u64)>),
}

use Figure::{Codes, Counter, Gauge};

struct Watched<F>(F);

impl<F> std::fmt::Debug for Watched<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watched")
    }
}

impl<F: Fn() -> Vec<Figure> + Send + Sync + 'static> Collector for Watched<F> {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        for figure in (self.0)() {
            match figure {
                Gauge(name, help, value) => {
                    let metric = ConstGauge::new(value);
                    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)?;
                }
                Counter(name, help, value) => {
                    let metric = ConstCounter::new(value);
                    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)?;
                }
                Codes(name, help, codes) => {
                    let mut all = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
                    for (code, value) in codes {
                        ConstCounter::new(value).encode(all.encode_family(&[("code", code)])?)?;
                    }
                }
            }
        }
        Ok(())
    }
}

pub(crate) fn of_hub(hub: &Hub) -> Vec<Figure> {
    let figures = hub.metrics();
    vec![
        Gauge("connections", "Open connections", count(figures.connections)),
        Gauge("subscriptions", "Subscriptions that stand", count(figures.subscriptions)),
        Gauge("channels", "Channels that have subscribers or history", count(figures.channels)),
        Counter("connections_opened", "Connections since the start", count(figures.connections_total)),
        Counter("messages_in", "Commands received from clients", count(figures.messages_in)),
        Counter("messages_out", "Messages queued for clients", count(figures.messages_out)),
        Counter("bytes_in", "Bytes of messages received from clients", count(figures.bytes_in)),
        Counter("bytes_out", "Bytes of messages handed to sockets", count(figures.bytes_out)),
        Counter("publications", "Publications, each counted once", count(figures.publications)),
        Counter("slow_closed", "Connections closed because they did not keep up", count(figures.slow_closed)),
        Counter(
            "slow_unsubscribed",
            "Subscriptions ended because their client did not keep up",
            count(figures.slow_unsubscribed),
        ),
        Counter(
            "operations_timed_out",
            "Commands given up because their answer took too long",
            count(figures.operations_timed_out),
        ),
        Counter("recovered", "Subscriptions that resumed without a gap", count(figures.recovered)),
        Counter("unrecovered", "Subscriptions that could not resume", count(figures.unrecovered)),
        Codes("errors", "Errors that clients were told of, by code (0: of the application)", hub.errors()),
        Codes("closed", "Connections closed with a code (0: of the application)", hub.closes()),
        Gauge("delivery_bytes", "Bytes that wait for slow readers of channels", count(hub.waiting_bytes() as u64)),
        Gauge("reply_bytes", "Bytes of replies that are not written yet", count(hub.unwritten_reply_bytes() as u64)),
        Gauge("history_bytes", "Bytes that histories keep in memory", count(hub.history_bytes() as u64)),
    ]
}

pub(crate) fn of_chat(chat: &Chat) -> Vec<Figure> {
    vec![
        Gauge("writes_waiting", "Writes of the chat that wait for their commit", count(chat.writes_waiting() as u64)),
        Gauge("denials", "Users that are blocked and tokens that are revoked", count(chat.denials().len() as u64)),
    ]
}

/// Of all listeners together.
pub(crate) fn of_servers(servers: &[Handle]) -> Vec<Figure> {
    let stats: Vec<_> = servers.iter().map(Handle::stats).collect();
    let sum = |value: fn(&Stats) -> u64| count(stats.iter().map(value).sum());
    vec![
        Gauge("http_connections", "Open TCP connections, sockets included", sum(|one| one.connections as u64)),
        Gauge("http_requests_in_flight", "Requests under way", sum(|one| one.requests_in_flight as u64)),
        Counter("http_requests", "Requests received", sum(|one| one.requests_total)),
        Counter("http_panics", "Requests that ended in a panic", sum(|one| one.handler_panics + one.body_panics)),
        Counter(
            "http_refused",
            "Connections turned away at a limit",
            sum(|one| one.refused_full + one.refused_address),
        ),
        Gauge(
            "http_response_bytes",
            "Bytes of answers that their readers have not taken yet",
            sum(|one| one.response_bytes as u64),
        ),
        Counter(
            "http_responses_refused",
            "Answers replaced by 503 because too much was under way",
            sum(|one| one.responses_refused),
        ),
        Counter(
            "http_stalled",
            "Connections cut and streams reset because their reader took too little, or hoarded",
            sum(|one| one.response_stalls + one.responses_cut),
        ),
        Counter(
            "http_slow_requests",
            "Requests given up because their head or body came too slowly",
            sum(|one| one.head_timeouts + one.body_stalls),
        ),
        Counter(
            "accept_pauses",
            "Times that accepting failed for want of files or memory",
            sum(|one| one.accept_pauses),
        ),
        Counter("tls_failures", "TLS handshakes that failed", sum(|one| one.tls_failures)),
    ]
}

fn of_process() -> Vec<Figure> {
    let Some(figures) = process::Figures::read() else { return Vec::new() };
    vec![
        Gauge("process_resident_memory_bytes", "Resident memory", figures.resident_bytes),
        Counter("process_cpu_seconds", "Time on a processor, user and system", figures.cpu_seconds),
        Gauge("process_open_fds", "Open file descriptors", figures.open_fds),
        Gauge("process_uptime_seconds", "Time since the start", figures.uptime_seconds),
    ]
}

/// Exact below 2^53, which no counter reaches.
#[expect(clippy::cast_precision_loss, reason = "Prometheus values are floats")]
fn count(value: u64) -> f64 {
    value as f64
}
