//! What the demo shows: every built-in workload, and what can be asked of them.

use crate::runtimes::toy::{AllocOrder, GcPolicy, ToyOptions};
use include_dir::{Dir, include_dir};
use std::path::{Path, PathBuf};

/// The workloads, carried along so that the demo needs no checkout.
pub(super) static WORKLOADS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/workloads");

/// Of all remedies, those that the shop's advice tries: the others take longer than a demo should.
pub(super) const TRIED: [&str; 4] = ["FP002", "FP003", "FP005", "FP015"];
/// How often each variant of the shop runs.
pub(super) const ROUNDS: u16 = 2;
/// The families of the wiki that are forecast.
pub(super) const FAMILIES: std::ops::RangeInclusive<u32> = 1..=32;

/// One exhibit: how to measure it, and what to call its report.
pub(super) struct Exhibit {
    pub(super) name: String,
    /// The verb and its arguments, as a person would type them.
    pub(super) command: String,
    pub(super) kind: Kind,
}

pub(super) enum Kind {
    Run(PathBuf, ToyOptions),
    Server(Server),
    /// Remedies tried on a server.
    Advice(Server),
    /// A server measured, and larger families of it forecast.
    Forecast(Server),
    /// The matrix of all toy programs and the default policies.
    Lab,
}

/// A server's files, relative to the workloads.
pub(super) struct Server {
    pub(super) config: PathBuf,
    pub(super) load: PathBuf,
}

impl Server {
    fn of(name: &str) -> Self {
        let folder = Path::new("servers").join(name);
        Self { config: folder.join("gunicorn.conf.py"), load: folder.join("load.toml") }
    }

    /// The arguments that name it, as a person would type them.
    fn arguments(&self) -> String {
        format!("workloads/{} --load workloads/{}", self.config.display(), self.load.display())
    }
}

/// All exhibits, in the order of the gallery.
pub(super) fn exhibits(workers: usize) -> Vec<Exhibit> {
    let mut exhibits = Vec::new();
    let run = |path: &Path, suffix: &str, options: &str, toy: ToyOptions| Exhibit {
        name: format!("{}{suffix}", path.file_stem().unwrap_or_default().to_string_lossy()),
        command: format!("forkprint run workloads/{} -w {workers}{options}", path.display()),
        kind: Kind::Run(path.to_owned(), toy),
    };
    for path in files("python", "py") {
        exhibits.push(run(path, "", "", ToyOptions::default()));
    }
    for path in files("toy", "toy") {
        if path.file_stem().is_some_and(|stem| stem == "gc_marks") {
            let header = ToyOptions { gc: GcPolicy::MarkHeader, ..ToyOptions::default() };
            exhibits.push(run(path, "_in_headers", " --gc mark-header", header));
            exhibits.push(run(path, "_in_a_bitmap", " --gc mark-bitmap", ToyOptions::default()));
        } else if path.file_stem().is_some_and(|stem| stem == "persistent") {
            let scattered = ToyOptions { alloc: AllocOrder::Scattered, ..ToyOptions::default() };
            let bump = ToyOptions { alloc: AllocOrder::Bump, ..ToyOptions::default() };
            exhibits.push(run(path, "_one_after_the_other", " --alloc bump", bump));
            exhibits.push(run(path, "_scattered", " --alloc scattered", scattered));
        } else {
            exhibits.push(run(path, "", "", ToyOptions::default()));
        }
    }
    exhibits.push(Exhibit {
        name: "laboratory".into(),
        command: "forkprint lab -o laboratory.html".into(),
        kind: Kind::Lab,
    });
    let shop = || Server::of("gunicorn_shop");
    let wiki = Server::of("gunicorn_wiki");
    exhibits.push(Exhibit {
        name: "gunicorn_shop".into(),
        command: format!("forkprint analyze {}", shop().arguments()),
        kind: Kind::Server(shop()),
    });
    exhibits.push(Exhibit {
        name: "shop_advice".into(),
        command: format!(
            "forkprint advise {} --rounds {ROUNDS} --only {}",
            shop().arguments(),
            TRIED.join(",")
        ),
        kind: Kind::Advice(shop()),
    });
    exhibits.push(Exhibit {
        name: "wiki_forecast".into(),
        command: format!(
            "forkprint analyze {} --capture wiki.forkprint && forkprint forecast wiki.forkprint -w {}..{}",
            wiki.arguments(),
            FAMILIES.start(),
            FAMILIES.end()
        ),
        kind: Kind::Forecast(wiki),
    });
    exhibits
}

/// The workloads of one runtime, by name.
fn files(folder: &str, ending: &str) -> Vec<&'static Path> {
    let dir = WORKLOADS.get_dir(folder);
    let mut paths: Vec<_> = dir.into_iter().flat_map(Dir::files).map(include_dir::File::path).collect();
    paths.retain(|path| path.extension().is_some_and(|found| found == ending));
    paths.sort();
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_workload_is_an_exhibit_with_a_name_of_its_own() {
        let exhibits = exhibits(2);
        let names: std::collections::BTreeSet<_> = exhibits.iter().map(|exhibit| &exhibit.name).collect();
        assert_eq!(names.len(), exhibits.len());
        assert_eq!(exhibits.len(), files("python", "py").len() + files("toy", "toy").len() + 6);
        assert!(files("python", "py").len() >= 12 && files("toy", "toy").len() >= 5);
    }
}
