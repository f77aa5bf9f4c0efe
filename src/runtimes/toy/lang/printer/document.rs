//! Text that knows where its lines may be broken, and how it is laid out (after Wadler, "A prettier
//! printer", 2003).

/// Columns of a line.
const WIDTH: usize = 100;
/// Columns of one level.
const INDENT: usize = 4;

/// A piece of text.
pub(super) enum Doc {
    Text(String),
    /// A comment, which may be as long as it likes. A new line follows.
    Comment(String),
    /// A space, or a new line where its group is broken.
    Line,
    /// Nothing, or a new line where its group is broken.
    Soft,
    /// A new line.
    Hard,
    /// Text where the group is broken.
    IfBroken(&'static str),
    Nest(Box<Self>),
    Concat(Vec<Self>),
    /// Broken everywhere or nowhere.
    Group {
        inner: Box<Self>,
        is_broken: bool,
    },
}

impl Doc {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub(super) fn nest(inner: Self) -> Self {
        Self::Nest(Box::new(inner))
    }

    /// Goes on one line if it fits there and holds no new line.
    pub(super) fn group(inner: Self) -> Self {
        let is_broken = inner.has_new_line();
        Self::Group { inner: Box::new(inner), is_broken }
    }

    pub(super) fn broken_group(inner: Self) -> Self {
        Self::Group { inner: Box::new(inner), is_broken: true }
    }

    /// Whether there is a new line however much room there is.
    pub(super) fn has_new_line(&self) -> bool {
        match self {
            Self::Hard | Self::Comment(_) => true,
            Self::Text(_) | Self::Line | Self::Soft | Self::IfBroken(_) => false,
            Self::Nest(inner) => inner.has_new_line(),
            Self::Concat(all) => all.iter().any(Self::has_new_line),
            Self::Group { is_broken, .. } => *is_broken,
        }
    }

    /// The text, with a new line at its end unless it is empty.
    pub(super) fn render(&self) -> String {
        let mut page = Page { text: String::new(), column: 0, pending_indent: 0 };
        let mut waiting = vec![Piece { indent: 0, is_broken: true, doc: self }];
        while let Some(piece) = waiting.pop() {
            let put = |doc| Piece { doc, ..piece };
            match piece.doc {
                Self::Text(text) | Self::Comment(text) => page.write(text),
                Self::Hard => page.new_line(piece.indent),
                Self::Line | Self::Soft if piece.is_broken => page.new_line(piece.indent),
                Self::Line => page.write(" "),
                Self::IfBroken(text) if piece.is_broken => page.write(text),
                Self::Soft | Self::IfBroken(_) => {}
                Self::Nest(inner) => waiting.push(Piece { indent: piece.indent + INDENT, ..put(inner) }),
                Self::Concat(all) => waiting.extend(all.iter().rev().map(put)),
                Self::Group { inner, is_broken } => {
                    let flat = Piece { is_broken: false, ..put(inner) };
                    let is_broken = *is_broken || !page.has_room_for(flat, &waiting);
                    waiting.push(Piece { is_broken, ..flat });
                }
            }
        }
        if !page.text.is_empty() {
            page.text.push('\n');
        }
        page.text
    }
}

/// A document to be laid out, and how.
#[derive(Clone, Copy)]
struct Piece<'a> {
    indent: usize,
    is_broken: bool,
    doc: &'a Doc,
}

struct Page {
    text: String,
    column: usize,
    /// Spaces to write before the next text of the line, so that blank lines stay empty.
    pending_indent: usize,
}

impl Page {
    fn write(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        self.text.extend(std::iter::repeat_n(' ', self.pending_indent));
        self.pending_indent = 0;
        self.text.push_str(text);
        self.column += text.chars().count();
    }

    fn new_line(&mut self, indent: usize) {
        self.text.push('\n');
        (self.column, self.pending_indent) = (indent, indent);
    }

    /// Whether the piece, and what follows up to where the line may be broken next, fits into the rest of
    /// the line.
    fn has_room_for(&self, piece: Piece<'_>, after: &[Piece<'_>]) -> bool {
        let mut room = WIDTH.saturating_sub(self.column);
        let mut waiting = vec![piece];
        let mut after = after.iter().rev();
        loop {
            let Some(piece) = waiting.pop().or_else(|| after.next().copied()) else { return true };
            let put = |doc| Piece { doc, ..piece };
            let width = match piece.doc {
                Doc::Text(text) => text.chars().count(),
                Doc::Hard | Doc::Comment(_) => return true,
                Doc::Line | Doc::Soft if piece.is_broken => return true,
                Doc::Line => 1,
                Doc::IfBroken(text) if piece.is_broken => text.len(),
                Doc::Soft | Doc::IfBroken(_) => 0,
                Doc::Nest(inner) => {
                    waiting.push(put(inner));
                    0
                }
                Doc::Concat(all) => {
                    waiting.extend(all.iter().rev().map(put));
                    0
                }
                Doc::Group { inner, is_broken } => {
                    // A group that follows may break for itself.
                    let is_broken = *is_broken || piece.is_broken;
                    waiting.push(Piece { is_broken, ..put(inner) });
                    0
                }
            };
            match room.checked_sub(width) {
                Some(rest) => room = rest,
                None => return false,
            }
        }
    }
}
