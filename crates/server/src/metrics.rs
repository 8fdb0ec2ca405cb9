//! `/metrics` in the Prometheus text format: the hub's counters and the process's figures, read when they are asked for.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use std::fmt::Error;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tidings_hub::Hub;

pub(crate) struct Metrics {
    registry: Mutex<Registry>,
    /// From the moment a publication reaches the hub until it is in every subscriber's outbox.
    pub(crate) send_latency: Histogram,
    /// From a chat message's arrival until it is durable and announced.
    pub(crate) post_latency: Histogram,
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
        registry.register_collector(Box::new(ProcessFigures));
        Self { registry: Mutex::new(registry), send_latency, post_latency }
    }

    /// Adds the figures of the hub, which exists later than this.
    pub(crate) fn watch(&self, hub: Hub) {
        self.registry().register_collector(Box::new(HubFigures(hub)));
    }

    pub(crate) fn render(&self) -> Result<String, Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry())?;
        Ok(text)
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: f64) -> Result<(), Error> {
    let metric = ConstGauge::new(value);
    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
}

fn counter(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: f64) -> Result<(), Error> {
    let metric = ConstCounter::new(value);
    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
}

struct HubFigures(Hub);

impl std::fmt::Debug for HubFigures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HubFigures")
    }
}

#[derive(Debug)]
struct ProcessFigures;

impl Collector for ProcessFigures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let Some(figures) = crate::process::Figures::read() else { return Ok(()) };
        let encoder = &mut encoder;
        gauge(encoder, "process_resident_memory_bytes", "Resident memory", figures.resident_bytes)?;
        counter(encoder, "process_cpu_seconds", "Time on a processor, user and system", figures.cpu_seconds)?;
        gauge(encoder, "process_open_fds", "Open file descriptors", figures.open_fds)?;
        gauge(encoder, "process_uptime_seconds", "Time since the start", figures.uptime_seconds)
    }
}

impl Collector for HubFigures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let figures = self.0.metrics();
        let gauges = [
            ("connections", "Open connections", figures.connections),
            ("subscriptions", "Subscriptions that stand", figures.subscriptions),
            ("channels", "Channels that have subscribers or history", figures.channels),
        ];
        for (name, help, value) in gauges {
            gauge(&mut encoder, name, help, count(value))?;
        }
        let counters = [
            ("connections_opened", "Connections since the start", figures.connections_total),
            ("messages_in", "Commands received from clients", figures.messages_in),
            ("messages_out", "Messages queued for clients", figures.messages_out),
            ("bytes_in", "Bytes of messages received from clients", figures.bytes_in),
            ("bytes_out", "Bytes of messages handed to sockets", figures.bytes_out),
            ("publications", "Publications, each counted once", figures.publications),
            ("slow_closed", "Connections closed because they did not keep up", figures.slow_closed),
            ("recovered", "Subscriptions that resumed without a gap", figures.recovered),
            ("unrecovered", "Subscriptions that could not resume", figures.unrecovered),
        ];
        for (name, help, value) in counters {
            counter(&mut encoder, name, help, count(value))?;
        }
        Ok(())
    }
}

/// Exact below 2^53, which no counter reaches.
#[expect(clippy::cast_precision_loss, reason = "Prometheus values are floats")]
fn count(value: u64) -> f64 {
    value as f64
}
