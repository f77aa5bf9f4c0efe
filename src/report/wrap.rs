//! Prose in columns.

/// Breaks a text between words so that no line is longer than `width`, unless a word is.
///
/// The text begins in column `start`, where leading blanks count; continued lines are indented.
pub fn wrap(text: &str, start: usize, indent: usize, width: usize) -> String {
    let blanks = text.len() - text.trim_start().len();
    let mut wrapped = " ".repeat(blanks);
    let mut column = start + blanks;
    for (index, word) in text.split(' ').filter(|word| !word.is_empty()).enumerate() {
        let len = word.chars().count();
        if index > 0 && column + 1 + len > width {
            wrapped.push('\n');
            wrapped.push_str(&" ".repeat(indent));
            column = indent;
        } else if index > 0 {
            wrapped.push(' ');
            column += 1;
        }
        wrapped.push_str(word);
        column += len;
    }
    wrapped
}

#[cfg(test)]
mod tests {
    use super::wrap;

    #[test]
    fn lines_end_between_words() {
        assert_eq!(wrap("one two three", 0, 2, 8), "one two\n  three");
        assert_eq!(wrap("  one two", 0, 2, 6), "  one\n  two");
        assert_eq!(wrap("one two", 5, 5, 9), "one\n     two");
        assert_eq!(wrap("incomprehensibilities", 0, 0, 4), "incomprehensibilities");
        assert_eq!(wrap("", 0, 0, 4), "");
    }
}
