//! Server-sent events out of bytes, as the HTML standard has them, with a limit.
//!
//! Only `data` matters here: names, ids and retry times of events are read over.

/// The longest line, and the longest event: beyond it, a service is broken or hostile.
const LIMIT: usize = 1024 * 1024;

/// Why bytes are no stream of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadStream {
    #[error("an event is longer than 1 MiB")]
    TooLong,
    #[error("a line is not UTF-8")]
    NotUtf8,
}

/// Splits bytes into the data of events, wherever the network cut them. After an error it is of no
/// further use.
#[derive(Debug, Default)]
pub(crate) struct SseParser {
    line: Vec<u8>,
    data: Option<String>,
    /// The last byte was a carriage return: a line feed that follows belongs to it.
    after_cr: bool,
    past_first_line: bool,
}

impl SseParser {
    /// Takes the next bytes and appends the data of each event they complete. An event without its
    /// blank line is not complete, also at the end of the stream.
    pub(crate) fn push(&mut self, bytes: &[u8], events: &mut Vec<String>) -> Result<(), BadStream> {
        let mut rest = bytes;
        if self.after_cr && !rest.is_empty() {
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
            self.after_cr = false;
        }
        while let Some(end) = rest.iter().position(|b| matches!(b, b'\n' | b'\r')) {
            let (head, tail) = rest.split_at(end);
            self.extend_line(head)?;
            self.end_line(events)?;
            rest = tail
                .strip_prefix(b"\r\n")
                .unwrap_or(tail.get(1..).unwrap_or_default());
            self.after_cr = tail == b"\r";
        }
        self.extend_line(rest)
    }

    fn extend_line(&mut self, bytes: &[u8]) -> Result<(), BadStream> {
        if self.line.len() + bytes.len() > LIMIT {
            return Err(BadStream::TooLong);
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn end_line(&mut self, events: &mut Vec<String>) -> Result<(), BadStream> {
        let bytes = std::mem::take(&mut self.line);
        let mut line = std::str::from_utf8(&bytes).map_err(|_| BadStream::NotUtf8)?;
        if !self.past_first_line {
            self.past_first_line = true;
            line = line.strip_prefix('\u{FEFF}').unwrap_or(line);
        }
        if line.is_empty() {
            events.extend(self.data.take().filter(|data| !data.is_empty()));
            return Ok(());
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        if field == "data" {
            self.add_data(value.strip_prefix(' ').unwrap_or(value))
        } else {
            Ok(())
        }
    }

    fn add_data(&mut self, value: &str) -> Result<(), BadStream> {
        match &mut self.data {
            None => self.data = Some(value.to_owned()),
            Some(data) if data.len() + value.len() >= LIMIT => return Err(BadStream::TooLong),
            Some(data) => {
                data.push('\n');
                data.push_str(value);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a parser makes of these pieces, up to its first error.
    fn parse<'a>(
        pieces: impl IntoIterator<Item = &'a [u8]>,
    ) -> (Vec<String>, Result<(), BadStream>) {
        let (mut parser, mut events) = (SseParser::default(), Vec::new());
        let end = pieces
            .into_iter()
            .try_for_each(|piece| parser.push(piece, &mut events));
        (events, end)
    }

    fn events(text: &str) -> Vec<String> {
        let (events, end) = parse([text.as_bytes()]);
        assert_eq!(end, Ok(()));
        events
    }

    #[test]
    fn every_line_end_ends_a_line() {
        for end in ["\n", "\r\n", "\r"] {
            let text = ["data: a", "", "data:b", "", ""].join(end);
            assert_eq!(events(&text), ["a", "b"], "{end:?}");
        }
    }

    #[test]
    fn data_lines_are_joined_and_the_rest_is_read_over() {
        assert_eq!(events("data: a\ndata:  b\ndata\n\n"), ["a\n b\n"]);
        assert_eq!(
            events(": ping\n\nevent: x\nid: 1\nretry: 5\ndatum: no\ndata: a\n\n"),
            ["a"]
        );
        assert_eq!(events("\u{FEFF}data: a\n\n"), ["a"]);
    }

    #[test]
    fn nothing_comes_of_an_event_that_is_empty_or_not_ended() {
        assert_eq!(events("\n\ndata\n\ndata: a\ndata: b"), Vec::<String>::new());
        assert_eq!(events("data: a\n"), Vec::<String>::new());
    }

    #[test]
    fn a_line_or_event_over_the_limit_is_an_error() {
        let line = format!("data: {}", "x".repeat(LIMIT));
        assert_eq!(parse([line.as_bytes()]).1, Err(BadStream::TooLong));
        let event = format!("data: {}\n", "x".repeat(LIMIT / 4)).repeat(5);
        assert_eq!(parse([event.as_bytes()]).1, Err(BadStream::TooLong));
    }

    #[test]
    fn events_before_an_error_are_kept() {
        let (events, end) = parse([b"data: a\n\ndata: \xFF\n\n".as_slice()]);
        assert_eq!(
            (events, end),
            (vec!["a".to_owned()], Err(BadStream::NotUtf8))
        );
    }

    /// Cuts bytes at these places, each taken modulo the length.
    fn cut<'a>(bytes: &'a [u8], places: &[usize]) -> Vec<&'a [u8]> {
        let mut places: Vec<_> = places.iter().map(|p| p % (bytes.len() + 1)).collect();
        places.sort_unstable();
        let ends = places.iter().copied().chain([bytes.len()]);
        let starts = [0].into_iter().chain(places.iter().copied());
        starts
            .zip(ends)
            .map(|(start, end)| &bytes[start..end])
            .collect()
    }

    proptest! {
        #[test]
        fn events_are_the_same_however_the_bytes_are_cut(
            lines in prop::collection::vec(("(data|data:|data: |: |id: |)", "[a-zé漢😀 :]{0,6}", "(\n|\r|\r\n)"), 0..20),
            places in prop::collection::vec(any::<usize>(), 0..12),
        ) {
            let text: String = lines.into_iter().map(|(a, b, c)| a + &b + &c).collect();
            prop_assert_eq!(parse(cut(text.as_bytes(), &places)), parse([text.as_bytes()]));
        }

        #[test]
        fn garbage_is_an_error_or_nothing_and_the_same_however_it_is_cut(
            bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'\n'), Just(b'\r'), Just(b':')], 0..200),
            places in prop::collection::vec(any::<usize>(), 0..12),
        ) {
            prop_assert_eq!(parse(cut(&bytes, &places)), parse([bytes.as_slice()]));
        }
    }
}
