//! Where a measurement goes: standard output, a file, a capture; and what is never overwritten.

use crate::capture;
use crate::error::{Context, Error, Result};
use crate::family::recording::Recording;
use crate::report::{html, json, next_command, shell_word, text};
use crate::units::Bytes;
use anstream::AutoStream;
use anstream::ColorChoice;
use clap::{Args, ValueEnum};
use std::ffi::OsString;
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// How a recording is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One terminal screen.
    Text,
    /// The stable JSON contract.
    Json,
    /// One self-contained file.
    Html,
}

/// Options of every verb that writes one document.
#[derive(Debug, Clone, Default, Args)]
pub struct DocumentArgs {
    /// Write to this file; `-` is standard output
    #[arg(short, long, value_name = "PATH", value_hint = clap::ValueHint::FilePath)]
    pub output: Option<PathBuf>,

    /// Form of the output [default: told by the file's ending; text on standard output]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub format: Option<Format>,

    /// Replace an earlier file or capture of the same name
    #[arg(long)]
    pub force: bool,

    /// Leave out what was written and what to do next.
    #[arg(skip)]
    pub quiet: bool,
}

/// Options of every verb that measures.
#[derive(Debug, Clone, Default, Args)]
pub struct OutputArgs {
    /// The document.
    #[command(flatten)]
    pub document: DocumentArgs,

    /// Keep the whole measurement in this folder, for `forkprint report`
    #[arg(long, value_name = "NAME.forkprint", value_hint = clap::ValueHint::DirPath)]
    pub capture: Option<PathBuf>,
}

impl OutputArgs {
    /// Refuses what [`emit`] would refuse. To be asked before the measurement starts.
    pub fn check(&self) -> Result<()> {
        self.document.check()?;
        if let Some(capture) = &self.capture {
            capture::check_destination(capture, self.document.force)?;
            probe(capture)?;
        }
        Ok(())
    }
}

impl DocumentArgs {
    /// Refuses what [`emit_document`] would refuse.
    pub fn check(&self) -> Result<()> {
        if let Some(folder) = self.file().filter(|path| path.is_dir()) {
            return Err(Error::new("cannot write the output")
                .path(folder)
                .why("it is a folder")
                .fix("name a file, like -o report.html"));
        }
        self.form()?;
        let Some(path) = self.file() else { return Ok(()) };
        match fs::metadata(path) {
            Ok(found) if found.is_file() && !self.force => Err(Error::new("refusing to overwrite a file")
                .path(path)
                .fix("add --force to replace it, or name another file")),
            Ok(found) if !found.is_file() => Ok(()),
            _ => probe(path),
        }
    }

    pub(super) fn note(&self, line: &str) {
        if !self.quiet {
            let _closed = writeln!(anstream::stderr(), "{line}");
        }
    }

    /// The file to write, unless it is standard output.
    fn file(&self) -> Option<&Path> {
        self.output.as_deref().filter(|path| *path != Path::new("-"))
    }

    /// Whether a text goes to a terminal that shows colours.
    pub fn is_coloured(&self) -> bool {
        self.file().is_none() && AutoStream::choice(&std::io::stdout()) != ColorChoice::Never
    }

    /// The form that was asked for, or that the file's ending tells.
    pub fn form(&self) -> Result<Format> {
        if let Some(format) = self.format {
            return Ok(format);
        }
        let Some(path) = self.file() else { return Ok(Format::Text) };
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
        match ending.as_deref() {
            Some("html" | "htm") => Ok(Format::Html),
            Some("json") => Ok(Format::Json),
            Some("txt" | "text") => Ok(Format::Text),
            _ => Err(Error::new("cannot tell the form of the output")
                .path(path)
                .why("its name ends neither in .html nor in .json nor in .txt")
                .fix("add --format html, json or text")),
        }
    }
}

/// The words of a command line without those that say where its output goes, so that it can be
/// typed again without being refused.
pub fn without_outputs(words: &[OsString]) -> impl Iterator<Item = &OsString> {
    let mut skip_value = false;
    words.iter().filter(move |word| {
        if std::mem::take(&mut skip_value) {
            return false;
        }
        let text = word.to_string_lossy();
        skip_value =
            ["-o", "--output", "--format", "--capture", "--captures", "--patch"].contains(&text.as_ref());
        let joined = ["--output=", "--format=", "--capture=", "--captures=", "--patch="]
            .iter()
            .any(|start| text.starts_with(start));
        let short = text.starts_with("-o") && !text.starts_with("--");
        !(skip_value || joined || short || text == "--force")
    })
}

/// Fails where no file can be made beside `path`, so that no measurement is lost at its end.
fn probe(path: &Path) -> Result<()> {
    let existing = path
        .ancestors()
        .skip(1)
        .find(|folder| folder.exists())
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = existing.unwrap_or(Path::new("."));
    tempfile::tempfile_in(folder)
        .map(drop)
        .at("cannot write there", folder)
        .map_err(|error| error.fix("name a file in a folder you may write to"))
}

/// Writes a measurement: its capture where asked, then its document.
///
/// Standard error names what was written and the next command to type.
pub fn emit(recording: &Recording, args: &OutputArgs) -> Result<()> {
    if let Some(path) = &args.capture {
        capture::write(recording, path, args.document.force)?;
        args.document.note(&format!("wrote {}", path.display()));
    }
    emit_document(recording, &args.document, args.capture.as_deref())
}

/// Writes one document about a recording that is, or is not, kept in a capture.
pub fn emit_document(recording: &Recording, args: &DocumentArgs, capture: Option<&Path>) -> Result<()> {
    let form = args.form()?;
    let next = next_command(recording, capture);
    let document = match form {
        Format::Text => text::render_with_next(recording, terminal_width(), args.is_coloured(), &next),
        Format::Json => json::render(recording),
        Format::Html => html::render(recording)?,
    };
    deliver(&document, args, |path| match form {
        Format::Html => format!("xdg-open {}", shell_word(&path.to_string_lossy())),
        Format::Text | Format::Json => next,
    })
}

/// Columns of the terminal.
pub fn terminal_width() -> usize {
    terminal_size::terminal_size().map_or(100, |(width, _)| usize::from(width.0))
}

/// Writes a finished document to its file, or to standard output.
///
/// Standard error names the file that was written, and what to do `next` with it.
pub fn deliver(document: &str, args: &DocumentArgs, next: impl FnOnce(&Path) -> String) -> Result<()> {
    let Some(path) = args.file() else { return to_stdout(document) };
    write_file(path, document.as_bytes(), args.force)?;
    args.note(&format!("wrote {} ({})", path.display(), Bytes(document.len() as u64)));
    args.note(&format!("next: {}", next(path)));
    Ok(())
}

/// A reader that has seen enough (`| head`) is not an error.
fn to_stdout(document: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(document.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).doing("cannot write to standard output")
        }
        _ => Ok(()),
    }
}

/// Writes beside `path` and renames, so that a failure leaves an earlier file as it was.
pub fn write_file(path: &Path, bytes: &[u8], force: bool) -> Result<()> {
    const WHAT: &str = "cannot write the output";
    if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        return fs::write(path, bytes).at(WHAT, path);
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(parent).at(WHAT, parent)?;
    let mut file = new_file(parent).at(WHAT, path)?;
    file.write_all(bytes).at(WHAT, path)?;
    let kept = if force { file.persist(path) } else { file.persist_noclobber(path) };
    match kept {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => {
            Err(Error::new("refusing to overwrite a file")
                .path(path)
                .fix("add --force to replace it, or name another file"))
        }
        Err(error) => Err(error.error).at(WHAT, path),
    }
}

/// A temporary file with the permissions that any new file gets.
fn new_file(folder: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    use std::os::unix::fs::PermissionsExt;
    tempfile::Builder::new()
        .prefix(".forkprint-")
        .permissions(fs::Permissions::from_mode(0o666))
        .tempfile_in(folder)
}
