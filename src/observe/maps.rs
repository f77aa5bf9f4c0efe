//! Address space and identity of a process: `maps`, `stat` and `status`.

use super::root::{ProcRoot, unreadable};
use crate::error::Result;
use crate::family::{Process, Vma, VmaFlags};
use crate::units::Vpn;
use procfs::ProcError;
use procfs::process::{MMPermissions, MMapPath, MemoryMap};

/// Reads all of a process but its pages.
///
/// Errors: no such process, it ended meanwhile, or it belongs to somebody else.
pub fn read_identity(root: &ProcRoot, pid: u32) -> Result<Process> {
    let fail = |error: ProcError| unreadable(root, pid, &error);
    let process = root.process(pid)?;
    let stat = process.stat().map_err(fail)?;
    let status = process.status().map_err(fail)?;
    let maps = process.maps().map_err(fail)?;
    let kib = |value: Option<u64>| value.unwrap_or(0) * 1024;
    Ok(Process {
        pid,
        start_time: stat.starttime,
        image: [stat.startcode, stat.endcode, stat.startstack],
        vmas: maps.into_iter().map(area).collect(),
        page_table_bytes: kib(status.vmpte),
        rss_bytes: kib(status.vmrss),
        ..Process::default()
    })
}

fn area(map: MemoryMap) -> Vma {
    let has = |permission| map.perms.contains(permission);
    Vma {
        start: Vpn::of_address(map.address.0),
        end: Vpn::of_address(map.address.1),
        flags: VmaFlags {
            read: has(MMPermissions::READ),
            write: has(MMPermissions::WRITE),
            execute: has(MMPermissions::EXECUTE),
            private: has(MMPermissions::PRIVATE),
        },
        offset: map.offset,
        inode: map.inode,
        name: area_name(map.pathname),
    }
}

/// The kernel's own name of the area, as the last column of `maps` prints it.
fn area_name(path: MMapPath) -> String {
    match path {
        MMapPath::Path(path) => path.to_string_lossy().into_owned(),
        MMapPath::Heap => "[heap]".into(),
        MMapPath::Stack | MMapPath::TStack(_) => "[stack]".into(),
        MMapPath::Vdso => "[vdso]".into(),
        MMapPath::Vvar => "[vvar]".into(),
        MMapPath::Vsyscall => "[vsyscall]".into(),
        MMapPath::Anonymous | MMapPath::Rollup => String::new(),
        MMapPath::Vsys(key) => format!("/SYSV{key:08x}"),
        MMapPath::Other(name) => format!("[{name}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    /// A proc tree of one process, with the lines that matter here.
    fn fake_proc(root: &Path, maps: &str) {
        let dir = root.join("42");
        fs::create_dir_all(&dir).unwrap();
        let mut fields = vec!["0".to_owned(); 50];
        fields[0] = "S".into();
        fields[19] = "777".into();
        fields[23] = "1000".into();
        fields[24] = "2000".into();
        fields[25] = "3000".into();
        fs::write(dir.join("stat"), format!("42 (a (strange) name) {}\n", fields.join(" "))).unwrap();
        let own = fs::read_to_string("/proc/self/status").unwrap();
        let status: Vec<_> = own
            .lines()
            .map(|line| match line.split_once(':') {
                Some(("VmPTE", _)) => "VmPTE:\t      64 kB",
                Some(("VmRSS", _)) => "VmRSS:\t    1000 kB",
                _ => line,
            })
            .collect();
        fs::write(dir.join("status"), status.join("\n") + "\n").unwrap();
        fs::write(dir.join("maps"), maps).unwrap();
    }

    #[test]
    fn reads_a_made_up_process() {
        let root = tempfile::tempdir().unwrap();
        fake_proc(
            root.path(),
            "1000-3000 rw-p 00000000 00:00 0                          [heap]\n\
             4000-5000 r--s 00002000 08:01 99                         /tmp/with space (deleted)\n\
             7000-8000 rw-p 00000000 00:00 0 \n\
             9000-a000 r--p 00000000 00:00 0                          [vvar_vclock]\n\
             b000-c000 rw-p 00000000 00:00 0                          [anon:arena]\n",
        );
        let process = read_identity(&ProcRoot::at(root.path()), 42).unwrap();
        assert_eq!((process.start_time, process.image), (777, [1000, 2000, 3000]));
        assert_eq!((process.page_table_bytes, process.rss_bytes), (64 << 10, 1000 << 10));
        let names: Vec<_> = process.vmas.iter().map(|vma| vma.name.as_str()).collect();
        assert_eq!(names, ["[heap]", "/tmp/with space (deleted)", "", "[vvar_vclock]", "[anon:arena]"]);
        let shared: Vec<_> = process.vmas.iter().map(Vma::copy_on_write).collect();
        assert_eq!(shared, [true, false, true, false, true]);
        assert_eq!(process.vmas[0].pages(), 2);
    }

    #[test]
    fn a_process_that_does_not_exist_says_so() {
        let root = tempfile::tempdir().unwrap();
        let error = read_identity(&ProcRoot::at(root.path()), 42).unwrap_err().to_string();
        assert!(error.contains("/42") && error.contains("no such process"), "{error}");
    }
}
