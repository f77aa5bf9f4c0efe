//! The Python package, for configurations and applications that import it where it is not installed.

use crate::agent;
use crate::error::{Context, Result};
use std::fs;
use std::path::Path;

/// What `prepare_fork` and the hooks of gunicorn need.
const FILES: [(&str, &[u8]); 6] = [
    ("__init__.py", include_bytes!("../../../python/forkprint/__init__.py")),
    ("_steps.py", include_bytes!("../../../python/forkprint/_steps.py")),
    ("_prepare.py", include_bytes!("../../../python/forkprint/_prepare.py")),
    ("gunicorn.py", include_bytes!("../../../python/forkprint/gunicorn.py")),
    ("_native.py", include_bytes!("native.py")),
    (agent::FILE_NAME, agent::LIBRARY),
];

/// Writes the package into a folder that exists.
pub(super) fn write(folder: &Path) -> Result<()> {
    let package = folder.join("forkprint");
    fs::create_dir_all(&package).at("cannot create a folder", &package)?;
    for (name, contents) in FILES {
        let file = package.join(name);
        fs::write(&file, contents).at("cannot write a part of the package", &file)?;
    }
    Ok(())
}
