//! `manifest.json`: the recording without its pages, and the stamps of the tables beside it.

use crate::error::{Context, Error, Result};
use crate::family::recording::{Recording, SCHEMA_VERSION};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Name of the manifest in a capture's folder.
pub(super) const FILE: &str = "manifest.json";

/// Everything a capture holds outside its tables.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// [`SCHEMA_VERSION`] of the writer.
    pub schema_version: u32,
    /// Names of the regions, in the order the recording refers to them.
    pub region_names: Vec<String>,
    /// Worker indices in the order of their rows in the `pages` table.
    pub page_workers: Vec<u32>,
    /// Names of the types that breaks refer to.
    #[serde(default)]
    pub type_names: Vec<String>,
    /// Names of the fields that breaks refer to.
    #[serde(default)]
    pub field_names: Vec<String>,
    /// One stamp for each table file.
    pub tables: BTreeMap<String, Stamp>,
    /// The recording, without its pages and breaks.
    #[serde(flatten)]
    pub recording: Recording,
}

/// What a table file must look like, so that a cut or damaged one is told at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    /// Rows.
    pub rows: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// CRC-32 of the file.
    pub crc32: u32,
}

impl Stamp {
    /// The stamp of a table file with `rows` rows and these bytes.
    pub fn of(rows: u64, file: &[u8]) -> Self {
        let mut crc = flate2::Crc::new();
        crc.update(file);
        Self { rows, bytes: file.len() as u64, crc32: crc.sum() }
    }
}

/// The one field that every version of the manifest has.
#[derive(Deserialize)]
struct Version {
    schema_version: u32,
}

impl Manifest {
    /// Reads the manifest of a capture's folder and refuses one that is newer than this program.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        let text = fs::read_to_string(&path).map_err(|error| {
            Error::new("cannot read the capture")
                .path(&path)
                .why(error)
                .fix("name a folder that `--capture` has written; it holds a manifest.json")
        })?;
        let damaged = |error: serde_json::Error| {
            Error::new("cannot read the capture's manifest")
                .path(&path)
                .why(error)
                .fix("measure again: the file was cut short or changed")
        };
        let version: Version = serde_json::from_str(&text).map_err(damaged)?;
        if version.schema_version > SCHEMA_VERSION {
            return Err(Error::new("the capture was made by a newer forkprint")
                .path(&path)
                .why(format!(
                    "its schema version is {}, this program reads up to {SCHEMA_VERSION}",
                    version.schema_version
                ))
                .fix("update forkprint"));
        }
        serde_json::from_str(&text).map_err(damaged)
    }

    /// Writes the manifest into a capture's folder.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(FILE);
        let text = serde_json::to_string_pretty(self).at("cannot encode the capture's manifest", &path)?;
        fs::write(&path, text).at("cannot write the capture", &path)
    }
}
