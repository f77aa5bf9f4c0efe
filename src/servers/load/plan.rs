//! What to send and when to look: a load file, or its defaults.

use crate::error::{Context, Error, Result};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use ureq::http::{HeaderName, HeaderValue, Method};

const DEFAULT_COUNT: u64 = 1000;
const MAX_COUNT: u64 = 100_000_000;
const MAX_CONCURRENCY: u32 = 256;
const MAX_WEIGHT: u32 = 10_000;

/// A load: how many requests, how many at a time, which ones, and when to look.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Requests in all, spread over the workers.
    pub count: u64,
    /// Requests in flight at a time.
    pub concurrency: u32,
    /// Numbers of requests after which to look; ascending, the last is `count`.
    pub milestones: Vec<u64>,
    /// The requests.
    pub requests: Vec<Request>,
    /// Indices into `requests` in the order of sending, repeated for ever.
    schedule: Vec<usize>,
}

/// One kind of request.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Path and query, beginning with a slash.
    #[serde(deserialize_with = "check::path")]
    pub path: String,
    /// How often it is sent, against the other requests.
    #[serde(default = "one", deserialize_with = "check::weight")]
    pub weight: u32,
    /// HTTP method.
    #[serde(default = "get", deserialize_with = "check::method")]
    pub method: String,
    /// Headers beside the usual ones.
    #[serde(default, deserialize_with = "check::headers")]
    pub headers: BTreeMap<String, String>,
    /// Body, sent as it is.
    #[serde(default)]
    pub body: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LoadFile {
    #[serde(default)]
    load: LoadTable,
    #[serde(default)]
    request: Vec<Request>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct LoadTable {
    #[serde(default, deserialize_with = "check::count")]
    count: Option<u64>,
    #[serde(default, deserialize_with = "check::concurrency")]
    concurrency: Option<u32>,
    milestones: Option<Vec<u64>>,
}

impl Default for Plan {
    /// A thousand times `GET /`, one at a time.
    fn default() -> Self {
        Self::of_file(LoadFile { load: LoadTable::default(), request: Vec::new() })
    }
}

impl Plan {
    /// Reads a load file.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).at("cannot read the load file", path).map_err(|error| {
            error.fix("check the path; without a load file, GET / is sent a thousand times")
        })?;
        Self::parse(&text).map_err(|error| error.path(path))
    }

    /// Reads the text of a load file.
    pub fn parse(text: &str) -> Result<Self> {
        let file: LoadFile = toml::from_str(text).map_err(|error| {
            Error::new("cannot understand the load file")
                .why(error)
                .fix("it has [load] with count, concurrency, milestones, and [[request]] with path, weight, method, headers, body")
        })?;
        let count = file.load.count.unwrap_or(DEFAULT_COUNT);
        if let Some(late) = file.load.milestones.iter().flatten().find(|&&milestone| milestone > count) {
            return Err(Error::new("cannot understand the load file")
                .why(format!("milestone {late} lies beyond the {count} requests"))
                .fix(format!("count = {late}, or leave the milestone out")));
        }
        Ok(Self::of_file(file))
    }

    fn of_file(file: LoadFile) -> Self {
        let count = file.load.count.unwrap_or(DEFAULT_COUNT);
        let mut milestones = file.load.milestones.unwrap_or_else(|| powers_of_ten(count));
        milestones.push(count);
        milestones.retain(|&milestone| milestone > 0);
        milestones.sort_unstable();
        milestones.dedup();
        let requests = if file.request.is_empty() { vec![Request::get("/")] } else { file.request };
        let schedule = schedule(&requests);
        Self { count, concurrency: file.load.concurrency.unwrap_or(1), milestones, requests, schedule }
    }

    /// The request to send as number `index`, from 0. The same plan always sends the same requests.
    pub fn request(&self, index: u64) -> &Request {
        let turn = index % self.schedule.len() as u64;
        &self.requests[self.schedule[usize::try_from(turn).unwrap_or(0)]]
    }
}

impl Request {
    /// A plain `GET`.
    pub fn get(path: &str) -> Self {
        Self { path: path.into(), weight: 1, method: get(), headers: BTreeMap::new(), body: None }
    }
}

fn one() -> u32 {
    1
}

fn get() -> String {
    "GET".into()
}

fn powers_of_ten(count: u64) -> Vec<u64> {
    std::iter::successors(Some(1_u64), |power| power.checked_mul(10))
        .take_while(|&power| power < count)
        .collect()
}

/// One round in which each request comes as often as it weighs, spread evenly.
///
/// Every turn each request gains its weight; the richest is sent and pays the sum of all weights.
fn schedule(requests: &[Request]) -> Vec<usize> {
    let divisor = requests.iter().map(|request| request.weight).fold(0, gcd).max(1);
    let weights: Vec<i64> = requests.iter().map(|request| i64::from(request.weight / divisor)).collect();
    let total: i64 = weights.iter().sum();
    let mut credit = vec![0; weights.len()];
    (0..total)
        .map(|_| {
            let mut richest = 0;
            for (index, weight) in weights.iter().enumerate() {
                credit[index] += weight;
                if credit[index] > credit[richest] {
                    richest = index;
                }
            }
            credit[richest] -= total;
            richest
        })
        .collect()
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Checks of single values; a failure carries the line of the value.
mod check {
    use super::{BTreeMap, HeaderName, HeaderValue, MAX_CONCURRENCY, MAX_COUNT, MAX_WEIGHT, Method};
    use serde::de::{Deserialize, Deserializer, Error};
    use std::fmt::Display;
    use std::ops::RangeInclusive;

    fn within<T: PartialOrd + Display, E: Error>(value: T, range: &RangeInclusive<T>) -> Result<T, E> {
        if range.contains(&value) {
            return Ok(value);
        }
        Err(E::custom(format!("{value} does not lie in {}..={}", range.start(), range.end())))
    }

    pub fn count<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
        within(u64::deserialize(from)?, &(1..=MAX_COUNT)).map(Some)
    }

    pub fn concurrency<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
        within(u32::deserialize(from)?, &(1..=MAX_CONCURRENCY)).map(Some)
    }

    pub fn weight<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
        within(u32::deserialize(from)?, &(1..=MAX_WEIGHT))
    }

    pub fn path<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
        let path = String::deserialize(from)?;
        let plain = path.chars().all(|c| c.is_ascii_graphic() && c != '#');
        if path.starts_with('/')
            && plain
            && format!("http://localhost{path}").parse::<ureq::http::Uri>().is_ok()
        {
            return Ok(path);
        }
        Err(D::Error::custom(format!("'{path}' is no path: it begins with / and is percent-encoded")))
    }

    pub fn method<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
        let method = String::deserialize(from)?;
        Method::from_bytes(method.as_bytes())
            .map_err(|_| D::Error::custom(format!("'{method}' is no HTTP method")))?;
        Ok(method)
    }

    pub fn headers<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, String>, D::Error> {
        let headers = BTreeMap::<String, String>::deserialize(from)?;
        for (name, value) in &headers {
            HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| D::Error::custom(format!("'{name}' is no header name")))?;
            HeaderValue::from_str(value).map_err(|_| {
                D::Error::custom(format!("the value of header {name} has characters no header may have"))
            })?;
        }
        Ok(headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_looks_at_powers_of_ten_and_the_end() {
        let plan = Plan::default();
        assert_eq!((plan.count, plan.concurrency), (1000, 1));
        assert_eq!(plan.milestones, [1, 10, 100, 1000]);
        assert_eq!(plan.request(999), &Request::get("/"));
        assert_eq!(Plan::parse("[load]\ncount = 35").unwrap().milestones, [1, 10, 35]);
    }

    #[test]
    fn requests_come_as_often_as_they_weigh_and_spread_evenly() {
        let text = "[[request]]\npath = '/a'\nweight = 30\n[[request]]\npath = '/b'\nweight = 10";
        let plan = Plan::parse(text).unwrap();
        let sent: String = (0..8).map(|index| &plan.request(index).path[1..]).collect();
        assert_eq!(sent, "aabaaaba");
    }

    #[test]
    fn milestones_are_put_in_order_and_end_at_the_count() {
        let plan = Plan::parse("[load]\ncount = 50\nmilestones = [20, 0, 5, 20]").unwrap();
        assert_eq!(plan.milestones, [5, 20, 50]);
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        let cases = [
            ("[load]\ncout = 3", "unknown field `cout`", "line 2"),
            ("[load]\ncount = 0", "0 does not lie in 1..=", "line 2"),
            ("[load]\nconcurrency = -1", "invalid value", "line 2"),
            ("[[request]]\npath = 'x'", "'x' is no path", "line 2"),
            ("[[request]]\npath = '/a b'", "is no path", "line 2"),
            ("[[request]]\npath = '/'\nweight = 0", "0 does not lie", "line 3"),
            ("[[request]]\npath = '/'\nmethod = 'A B'", "no HTTP method", "line 3"),
            ("[[request]]\npath = '/'\nheaders = { 'a b' = 'x' }", "no header name", "line 3"),
            ("[[request]]\nweight = 1", "missing field `path`", "line 1"),
            ("[load", "", "line 1"),
        ];
        for (text, message, line) in cases {
            let error = Plan::parse(text).unwrap_err().to_string();
            assert!(error.contains(message) && error.contains(line), "{text}\n{error}");
        }
    }

    #[test]
    fn a_milestone_beyond_the_end_is_refused() {
        let error = Plan::parse("[load]\ncount = 10\nmilestones = [100]").unwrap_err();
        assert!(error.to_string().contains("milestone 100 lies beyond the 10 requests"));
        assert_eq!(error.suggested_fix(), Some("count = 100, or leave the milestone out"));
    }
}
