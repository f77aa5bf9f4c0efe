//! Sends a plan's requests, a batch at a time, and counts the answers.

use super::plan::{Plan, Request};
use crate::error::Result;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;
use ureq::Agent;
use ureq::http;

const POLL: Duration = Duration::from_millis(50);
const QUOTED_BODY: u64 = 300;

/// What came back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Requests sent.
    pub sent: u64,
    /// Answers with status 400 and above, by status.
    pub refused: BTreeMap<u16, u64>,
    /// Requests without an answer.
    pub unanswered: u64,
    /// The first refusal or failure, for people: the request and what came back.
    pub first_failure: Option<Failure>,
}

/// A request that did not go well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Method and path.
    pub request: String,
    /// Status or error.
    pub answer: String,
    /// The beginning of the body.
    pub body: String,
}

impl Failure {
    /// The first words of the body for people: HTML without its marks.
    pub fn first_line(&self) -> Option<String> {
        let mut within_mark = false;
        let text: String = self
            .body
            .chars()
            .filter(|&letter| {
                let starts = letter == '<';
                let shown = !within_mark && !starts;
                within_mark = starts || within_mark && letter != '>';
                shown
            })
            .collect();
        text.lines().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned)
    }
}

impl Tally {
    /// Requests that may have cost a worker its life: no answer, or one of 500 and above.
    pub fn perhaps_fatal(&self) -> u64 {
        self.unanswered + self.refused.range(500..).map(|(_, count)| count).sum::<u64>()
    }

    /// Requests that did not go well.
    pub fn failed(&self) -> u64 {
        self.unanswered + self.refused.values().sum::<u64>()
    }

    fn add(&mut self, outcome: Outcome) {
        self.sent += 1;
        let failure = match outcome {
            Outcome::Served => return,
            Outcome::Refused(status, failure) => {
                *self.refused.entry(status).or_default() += 1;
                failure
            }
            Outcome::Unanswered(failure) => {
                self.unanswered += 1;
                failure
            }
        };
        self.first_failure.get_or_insert(failure);
    }
}

enum Outcome {
    Served,
    Refused(u16, Failure),
    Unanswered(Failure),
}

/// Sends the requests of one plan to one server.
///
/// Every request has a connection of its own, so that the workers share the load as they accept.
pub struct Driver {
    sender: Arc<Requests>,
    tally: Tally,
}

impl Driver {
    /// A driver that has sent nothing yet. A request without an answer fails after `timeout`.
    pub fn new(plan: Plan, server: SocketAddr, timeout: Duration) -> Self {
        let agent = Agent::config_builder()
            .timeout_global(Some(timeout))
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .max_redirects(0)
            .max_idle_connections(0)
            .proxy(None)
            .user_agent(concat!("forkprint/", env!("CARGO_PKG_VERSION")))
            .build()
            .new_agent();
        Self { sender: Arc::new(Requests { agent, plan, server }), tally: Tally::default() }
    }

    /// What came back so far.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Sends requests until `milestone` have been sent in all, and waits until every one is answered.
    ///
    /// `watch` is called many times a second; when it fails, the rest is abandoned.
    pub fn run_until(&mut self, milestone: u64, mut watch: impl FnMut(&Tally) -> Result<()>) -> Result<()> {
        let outcomes = self.start_batch(milestone);
        loop {
            match outcomes.recv_timeout(POLL) {
                Ok(outcome) => self.tally.add(outcome),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return watch(&self.tally),
            }
            watch(&self.tally)?;
        }
    }

    /// The channel closes when the batch is done.
    fn start_batch(&self, milestone: u64) -> Receiver<Outcome> {
        let (outcomes, received) = channel();
        let next = Arc::new(AtomicU64::new(self.tally.sent));
        let waiting = milestone.saturating_sub(self.tally.sent);
        for _ in 0..waiting.min(self.sender.plan.concurrency.into()) {
            let (sender, next, outcomes) = (self.sender.clone(), next.clone(), outcomes.clone());
            thread::spawn(move || sender.send_until(milestone, &next, &outcomes));
        }
        received
    }
}

/// What the threads of a batch share.
struct Requests {
    agent: Agent,
    plan: Plan,
    server: SocketAddr,
}

impl Requests {
    fn send_until(&self, milestone: u64, next: &AtomicU64, outcomes: &Sender<Outcome>) {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            // Nobody listens any more when the batch was abandoned.
            if index >= milestone || outcomes.send(self.send(self.plan.request(index))).is_err() {
                return;
            }
        }
    }

    fn send(&self, request: &Request) -> Outcome {
        let told = |answer: String, body: String| Failure {
            request: format!("{} {}", request.method, request.path),
            answer,
            body,
        };
        match self.exchange(request) {
            Ok((status, _)) if status < 400 => Outcome::Served,
            Ok((status, body)) => Outcome::Refused(status, told(format!("status {status}"), body)),
            Err(error) => Outcome::Unanswered(told(error.to_string(), String::new())),
        }
    }

    /// Sends one request and reads the whole answer: its status, and how its body begins.
    fn exchange(&self, request: &Request) -> std::result::Result<(u16, String), ureq::Error> {
        let mut builder = http::Request::builder()
            .method(request.method.as_str())
            .uri(format!("http://{}{}", self.server, request.path))
            .header("connection", "close");
        for (name, value) in &request.headers {
            builder = builder.header(name, value);
        }
        let mut response = match &request.body {
            Some(body) => self.agent.run(builder.body(body.as_str())?)?,
            None => self.agent.run(builder.body(())?)?,
        };
        let mut reader = response.body_mut().as_reader();
        let mut beginning = Vec::new();
        reader.by_ref().take(QUOTED_BODY).read_to_end(&mut beginning)?;
        io::copy(&mut reader, &mut io::sink())?;
        Ok((response.status().as_u16(), String::from_utf8_lossy(&beginning).trim().to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use std::io::Write;
    use std::net::TcpListener;

    /// Answers each connection with the text `answer` gives for its request line.
    fn serve(answer: impl Fn(&str) -> Option<&'static str> + Send + 'static) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut head = Vec::new();
                let mut bytes = [0; 1024];
                while !head.windows(4).any(|four| four == b"\r\n\r\n") {
                    let count = stream.read(&mut bytes).unwrap();
                    head.extend_from_slice(&bytes[..count]);
                }
                if let Some(answer) = answer(&String::from_utf8_lossy(&head)) {
                    stream.write_all(answer.as_bytes()).unwrap();
                }
            }
        });
        address
    }

    fn driver(text: &str, server: SocketAddr) -> Driver {
        Driver::new(Plan::parse(text).unwrap(), server, Duration::from_secs(20))
    }

    #[test]
    fn answers_refusals_and_failures_are_counted_apart() {
        let server = serve(|head| match head.split(' ').nth(1) {
            Some("/good") => Some("HTTP/1.1 302 Found\r\nlocation: /bad\r\ncontent-length: 0\r\n\r\n"),
            Some("/bad") => Some("HTTP/1.1 500 Oops\r\ncontent-length: 4\r\n\r\noops"),
            _ => None,
        });
        let text = "[load]\ncount = 6\nconcurrency = 2\n[[request]]\npath = '/good'\n[[request]]\npath = '/bad'\n[[request]]\npath = '/gone'";
        let mut driver = driver(text, server);
        driver.run_until(3, |_| Ok(())).unwrap();
        assert_eq!(driver.tally().sent, 3);
        driver.run_until(6, |_| Ok(())).unwrap();
        let tally = driver.tally();
        assert_eq!((tally.sent, tally.failed(), tally.unanswered), (6, 4, 2));
        assert_eq!(tally.refused, BTreeMap::from([(500, 2)]));
        assert!(tally.first_failure.is_some());
    }

    #[test]
    fn the_first_line_of_a_body_is_without_marks() {
        let line = |body: &str| {
            Failure { request: String::new(), answer: String::new(), body: body.into() }.first_line()
        };
        let page = "<!doctype html>\n<html lang=en>\n  <title>Not <b>Found</b></title>\n<h1>again</h1>";
        assert_eq!(line(page).as_deref(), Some("Not Found"));
        assert_eq!(line("no such user\nmore").as_deref(), Some("no such user"));
        assert_eq!(line("<p>\n"), None);
    }

    #[test]
    fn method_headers_and_body_arrive() {
        let server = serve(|head| {
            let whole = head.starts_with("POST /a?b=1 ")
                && head.contains("x-shop: 7")
                && head.contains("connection: close");
            Some(if whole {
                "HTTP/1.1 204 No\r\n\r\n"
            } else {
                "HTTP/1.1 400 No\r\ncontent-length: 0\r\n\r\n"
            })
        });
        let text = "[load]\ncount = 1\n[[request]]\npath = '/a?b=1'\nmethod = 'POST'\nbody = '{}'\nheaders = { x-shop = '7' }";
        let mut driver = driver(text, server);
        driver.run_until(1, |_| Ok(())).unwrap();
        assert_eq!(driver.tally().failed(), 0, "{:?}", driver.tally().first_failure);
    }

    #[test]
    fn a_watch_that_fails_ends_the_batch_though_the_server_is_silent() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut driver = driver("[load]\ncount = 5", listener.local_addr().unwrap());
        let error = driver.run_until(5, |_| Err(Error::interrupted())).unwrap_err();
        assert!(error.is_interrupt());
    }
}
