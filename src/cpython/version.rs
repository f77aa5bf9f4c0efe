//! Which `CPython` a process runs, by what it has mapped.

use crate::family::Process;

/// `(major, minor)` of the `CPython` in a process: from its libpython, else from a program or library
/// named like `python3.11`. `None` for programs without one, and for renamed ones.
pub fn of_process(process: &Process) -> Option<(u8, u8)> {
    let files = || process.vmas.iter().filter(|vma| vma.is_file()).map(|vma| file_name(&vma.name));
    let after = |prefix: &'static str| move |file: &str| file.strip_prefix(prefix).and_then(parse);
    files().find_map(after("libpython")).or_else(|| files().find_map(after("python")))
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// `(major, minor)` at the start of a text such as `3.12.1` or `3.13.0rc1 (main, …)`.
pub(crate) fn parse(text: &str) -> Option<(u8, u8)> {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit());
    let version = (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
    (version.0 >= 3).then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::family::{Vma, VmaFlags};
    use crate::units::Vpn;

    fn version(files: &[&str]) -> Option<(u8, u8)> {
        let vma = |name: &&str| Vma {
            start: Vpn(1),
            end: Vpn(2),
            flags: VmaFlags::default(),
            offset: 0,
            inode: 7,
            name: (*name).into(),
        };
        of_process(&Process { vmas: files.iter().map(vma).collect(), ..Process::default() })
    }

    #[test]
    fn the_library_says_more_than_the_program() {
        assert_eq!(version(&["/opt/bin/python3.9", "/opt/lib/libpython3.12.so.1.0"]), Some((3, 12)));
        assert_eq!(version(&["/usr/bin/python3.11", "/usr/lib/libc.so.6"]), Some((3, 11)));
        assert_eq!(version(&["/usr/bin/redis-server", "/usr/lib/libpython3.so"]), None);
        assert_eq!(version(&["/usr/bin/python2.7"]), None);
    }

    #[test]
    fn versions_are_parsed_whatever_follows_them() {
        assert_eq!(parse("3.13.0rc1 (main, Oct 1 2024)"), Some((3, 13)));
        assert_eq!(parse("3.12"), Some((3, 12)));
        assert_eq!(parse("pypy"), None);
    }
}
