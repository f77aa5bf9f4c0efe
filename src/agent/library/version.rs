//! Which `CPython` this is, by what `Py_GetVersion` says: `3.12.1 (main, Jan  1 2024, …) [GCC …]`.

/// `(major, minor)`. None where it is no version, and for free-threaded builds, whose frames and
/// objects are laid out otherwise: `3.13.0 experimental free-threading build (main, …`.
pub fn parse(text: &[u8]) -> Option<(u8, u8)> {
    const FREE_THREADED: &[u8] = b"free-threading";
    if text.windows(FREE_THREADED.len()).any(|part| part == FREE_THREADED) {
        return None;
    }
    let mut numbers = text.split(|byte| !byte.is_ascii_digit());
    let mut number = || {
        let digits = numbers.next().filter(|digits| !digits.is_empty())?;
        digits.iter().try_fold(0_u8, |number, digit| number.checked_mul(10)?.checked_add(digit - b'0'))
    };
    Some((number()?, number()?))
}
