//! A table file of a capture, opened and checked against its stamp.

use super::manifest::{Manifest, Stamp};
use crate::error::{Error, Result};
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use std::fs;
use std::path::{Path, PathBuf};

/// Rows decoded at a time: large enough to amortise, small enough for the second-level cache.
const BATCH_ROWS: usize = 1 << 16;

/// An opened table file whose bytes match its stamp.
pub(super) struct Table {
    path: PathBuf,
    bytes: Bytes,
    metadata: ArrowReaderMetadata,
}

impl Table {
    /// Opens a table that the manifest lists.
    pub fn open(folder: &Path, manifest: &Manifest, name: &str) -> Result<Self> {
        let path = folder.join(name);
        let bytes = fs::read(&path).map_err(|error| damaged(&path, error))?;
        let stamp =
            manifest.tables.get(name).ok_or_else(|| damaged(&path, "the manifest does not list it"))?;
        if bytes.len() as u64 != stamp.bytes {
            return Err(damaged(
                &path,
                format!("it has {} bytes, the manifest says {}", bytes.len(), stamp.bytes),
            ));
        }
        if Stamp::of(stamp.rows, &bytes) != *stamp {
            return Err(damaged(&path, "its checksum is not the manifest's"));
        }
        let bytes = Bytes::from(bytes);
        let metadata = ArrowReaderMetadata::load(&bytes, ArrowReaderOptions::default())
            .map_err(|error| damaged(&path, error))?;
        let rows = metadata.metadata().file_metadata().num_rows();
        if u64::try_from(rows) != Ok(stamp.rows) {
            return Err(damaged(&path, format!("it has {rows} rows, the manifest says {}", stamp.rows)));
        }
        Ok(Self { path, bytes, metadata })
    }

    /// Rows of all groups.
    pub fn rows(&self) -> usize {
        (0..self.groups()).map(|group| self.group_rows(group)).sum()
    }

    /// Row groups.
    pub fn groups(&self) -> usize {
        self.metadata.metadata().num_row_groups()
    }

    /// Rows of one group.
    pub fn group_rows(&self, group: usize) -> usize {
        usize::try_from(self.metadata.metadata().row_group(group).num_rows()).unwrap_or(0)
    }

    /// Some columns, in batches: of one group or of all.
    pub fn batches(&self, group: Option<usize>, columns: &[&str]) -> Result<Batches<'_>> {
        let builder =
            ParquetRecordBatchReaderBuilder::new_with_metadata(self.bytes.clone(), self.metadata.clone());
        let projection = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
        let builder = builder.with_batch_size(BATCH_ROWS).with_projection(projection);
        let builder = match group {
            Some(group) => builder.with_row_groups(vec![group]),
            None => builder,
        };
        let reader = builder.build().map_err(|error| self.damaged(error))?;
        Ok(Batches { table: self, reader })
    }

    /// The error that says what is wrong with it.
    pub fn damaged(&self, why: impl std::fmt::Display) -> Error {
        damaged(&self.path, why)
    }
}

/// The batches of a table.
pub(super) struct Batches<'a> {
    table: &'a Table,
    reader: ParquetRecordBatchReader,
}

impl Iterator for Batches<'_> {
    type Item = Result<arrow_array::RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.reader.next().map(|batch| batch.map_err(|error| self.table.damaged(error)))
    }
}

fn damaged(path: &Path, why: impl std::fmt::Display) -> Error {
    Error::new("cannot read the capture")
        .path(path)
        .why(why)
        .fix("measure again: the file is missing, was cut short, or changed")
}
