//! What Prometheus may ask for while a recording runs.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use tiny_http::{Header, Response, Server};

use crate::recording::{Census, GrownLine, Recording, Sample, TypeCount};

/// The most types, and the most lines, that are told of a process: each is a series of its own.
const TYPES: usize = 20;
const LINES: usize = 10;
/// What Prometheus calls the form of the text.
const FORM: &[u8] = b"application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The labels of a value.
type Labels = Vec<(&'static str, String)>;

/// A value, and whose it is.
type Value = (Labels, f64);

/// A name, what it means, its kind, and its values.
type Metric = (&'static str, &'static str, MetricType, Vec<Value>);

/// The metrics of all recordings that run, by process.
#[derive(Debug, Clone, Default)]
pub(super) struct Board(Arc<Mutex<BTreeMap<u32, Vec<Metric>>>>);

impl Board {
    /// Puts up what is known of a process now.
    pub(super) fn post(&self, recording: &Recording) {
        let pid = recording.head.process.pid;
        let metrics = metrics(recording);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(pid, metrics);
    }

    /// Takes down a process that is recorded no more.
    pub(super) fn remove(&self, pid: u32) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&pid);
    }
}

impl Collector for Board {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let board = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A name may be told once only, with the values of all processes.
        let mut merged: BTreeMap<&str, (&str, MetricType, Vec<&Value>)> = BTreeMap::new();
        for (name, help, kind, values) in board.values().flatten() {
            merged.entry(name).or_insert((help, *kind, Vec::new())).2.extend(values);
        }
        for (name, (help, kind, values)) in merged {
            let mut metric = encoder.encode_descriptor(name, help, None, kind)?;
            for (labels, value) in values {
                let mut family = metric.encode_family(labels)?;
                match kind {
                    MetricType::Counter => {
                        family.encode_counter::<NoLabelSet, _, f64>(value, None)?
                    }
                    _ => family.encode_gauge(value)?,
                }
            }
        }
        Ok(())
    }
}

#[allow(clippy::cast_precision_loss)]
const fn float(number: u64) -> f64 {
    number as f64
}

#[allow(clippy::cast_precision_loss)]
fn metrics(recording: &Recording) -> Vec<Metric> {
    use MetricType::{Counter, Gauge};
    let head = &recording.head;
    let own = || vec![("pid", head.process.pid.to_string())];
    let with = |name, value: &str| {
        let mut labels = own();
        labels.push((name, value.to_owned()));
        labels
    };
    let one = |value: f64| vec![(own(), value)];
    let sample = recording.samples.points().last().copied().unwrap_or_default();
    let Sample { rss_bytes, private_bytes, swap_bytes, .. } = sample;
    let parts = [("rss", rss_bytes), ("private", private_bytes), ("swap", swap_bytes)];
    let parts = parts.into_iter().map(|(part, bytes)| (with("part", part), float(bytes)));
    let pss = recording.samples.points().iter().rev().find_map(|sample| sample.pss_bytes);
    let parts = parts.chain(pss.map(|pss| (with("part", "pss"), float(pss)))).collect();
    let faults = [("minor", sample.minor_faults), ("major", sample.major_faults)];
    let faults = faults.into_iter().map(|(kind, count)| (with("kind", kind), float(count)));
    let mut collections = Vec::new();
    for (interpreter, series) in &recording.collectors {
        let point = series.points().last().copied().unwrap_or_default();
        for (generation, count) in point.collections.iter().enumerate() {
            let mut labels = with("interpreter", &interpreter.to_string());
            labels.push(("generation", generation.to_string()));
            collections.push((labels, *count as f64));
        }
    }
    let mut all: Vec<Metric> = vec![
        ("pyheap_memory_bytes", "Memory of the process by part", Gauge, parts),
        ("pyheap_rss_peak_bytes", "The highest RSS", Gauge, one(float(head.peak_rss_bytes))),
        ("pyheap_page_faults", "Page faults of the process", Counter, faults.collect()),
        ("pyheap_collections", "Collections of the garbage collector", Counter, collections),
        (
            "pyheap_stopped_seconds",
            "How long censuses stopped it",
            Counter,
            one(head.stopped_seconds),
        ),
        (
            "pyheap_overhead_ratio",
            "What the recording costs",
            Gauge,
            one(recording.overhead_share()),
        ),
    ];
    if let Some(census) = recording.censuses.all().last() {
        all.extend(of_census(census, &own()));
    }
    if head.stack_samples > 0 {
        let lines = recording.growth.lines().lines;
        let line = |line: &GrownLine| {
            let mut labels = with("line", &format!("{}:{}", line.frame.file, line.frame.line));
            labels.push(("function", line.frame.function.clone()));
            (labels, float(line.bytes))
        };
        let lines = lines.iter().take(LINES).map(line).collect();
        all.push(("pyheap_line_growth_bytes", "Growth by the line that was seen", Gauge, lines));
    }
    all
}

/// What a census says; `own` are the labels of the process.
fn of_census(census: &Census, own: &Labels) -> Vec<Metric> {
    let one = |value: f64| vec![(own.clone(), value)];
    let of = |of: fn(&TypeCount) -> u64| {
        let of_type = |row: &TypeCount| {
            let mut labels = own.clone();
            labels.push(("type", row.name.to_string()));
            (labels, float(of(row)))
        };
        census.types.iter().take(TYPES).map(of_type).collect::<Vec<Value>>()
    };
    let gauge = |name, help, values| (name, help, MetricType::Gauge, values);
    let (objects, bytes) = (one(float(census.objects)), one(float(census.bytes())));
    let pause = one(census.pause_seconds);
    let mut all = vec![
        gauge("pyheap_objects", "Objects in the last census", objects),
        gauge("pyheap_objects_bytes", "Bytes of all objects", bytes),
        gauge("pyheap_pause_seconds", "How long the last census stopped it", pause),
        gauge("pyheap_type_objects", "Objects of a type", of(|row| row.objects)),
        gauge("pyheap_type_bytes", "Bytes of a type, buffers included", of(TypeCount::bytes)),
    ];
    if let Some(garbage) = census.garbage_bytes {
        let garbage = one(float(garbage));
        all.push(gauge("pyheap_garbage_bytes", "What waits for the collector", garbage));
    }
    all
}

/// A server that answers until it is dropped.
pub(super) struct Exporter {
    server: Arc<Server>,
    thread: Option<JoinHandle<()>>,
}

impl Exporter {
    /// Answers at an address.
    pub(super) fn start(address: SocketAddr, board: Board) -> io::Result<Self> {
        let server = Server::http(address).map_err(io::Error::other)?;
        let server = Arc::new(server);
        let mut registry = Registry::default();
        registry.register_collector(Box::new(board));
        let thread = thread::spawn({
            let server = Arc::clone(&server);
            move || answer(&server, &registry)
        });
        Ok(Self { server, thread: Some(thread) })
    }

    /// Where it answers.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.server.server_addr().to_ip()
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.server.unblock();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn answer(server: &Server, registry: &Registry) {
    // Ends when the server is unblocked.
    while let Ok(request) = server.recv() {
        let path = request.url().split('?').next().unwrap_or_default();
        let response = match path {
            "/metrics" => {
                let mut body = String::new();
                match text::encode(&mut body, registry) {
                    Ok(()) => Response::from_string(body),
                    Err(error) => Response::from_string(error.to_string()).with_status_code(500),
                }
            }
            "/" => Response::from_string("pyheap record: see /metrics\n"),
            _ => Response::from_string("not found\n").with_status_code(404),
        };
        let response = match Header::from_bytes(&b"Content-Type"[..], FORM) {
            Ok(header) if path == "/metrics" => response.with_header(header),
            _ => response,
        };
        // Whoever asked may have gone away.
        let _ = request.respond(response);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use super::*;
    use crate::recording::Head;

    fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn what_is_known_can_be_asked_for_and_is_bounded() {
        let mut recording = Recording::new(Head::default());
        recording.head.process.pid = 42;
        recording.push_sample(Sample { rss_bytes: 4096, ..Sample::default() });
        let row = |nth: u64| TypeCount {
            name: format!("app.T\"{nth}").as_str().into(),
            objects: 3,
            shallow_bytes: 1000 - nth,
            buffer_bytes: 0,
        };
        let types = (0..100).map(row).collect();
        recording.push_census(Census { objects: 7, types, ..Census::default() });
        let board = Board::default();
        board.post(&recording);
        recording.head.process.pid = 43;
        board.post(&recording);
        let exporter = Exporter::start("127.0.0.1:0".parse().unwrap(), board.clone()).unwrap();
        let address = exporter.address().unwrap();
        let text = get(address, "/metrics");
        assert!(text.starts_with("HTTP/1.0 200"), "{text}");
        assert!(text.contains("pyheap_memory_bytes{pid=\"42\",part=\"rss\"} 4096"), "{text}");
        assert!(text.contains("pyheap_type_objects{pid=\"43\",type=\"app.T\\\"0\"} 3"), "{text}");
        assert_eq!(text.matches("pyheap_type_bytes{pid=\"42\"").count(), TYPES);
        assert_eq!(text.matches("# HELP pyheap_objects ").count(), 1);
        assert!(text.trim_end().ends_with("# EOF"), "{text}");
        assert!(get(address, "/other").starts_with("HTTP/1.0 404"));
        board.remove(42);
        assert!(!get(address, "/metrics").contains("pid=\"42\""));
    }
}
