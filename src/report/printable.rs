//! Text of measured programs, made safe to print: it may hold what would steer a terminal.

/// The text on one line, without control characters and without marks that turn the direction of writing.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if steers(c) { ' ' } else { c }).collect()
}

/// The same, with the lines that it has.
pub fn printable_lines(text: &str) -> String {
    text.chars().map(|c| if steers(c) && !matches!(c, '\n' | '\t') { ' ' } else { c }).collect()
}

fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_that_steers_a_terminal() {
        let hostile = "a\u{1b}[2J\u{9b}31mb\r\n\tc\u{202e}d\u{7f}é";
        assert_eq!(printable(hostile), "a [2J 31mb   c d é");
        assert_eq!(printable_lines(hostile), "a [2J 31mb \n\tc d é");
    }
}
