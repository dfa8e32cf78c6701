/// The header of W3C Trace Context, if it is one: others write it, and it goes into logs and calls.
pub(crate) fn traceparent(header: &str) -> Option<String> {
    let lengths: Vec<usize> = header.split('-').map(str::len).collect();
    let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-');
    let id = |at: std::ops::Range<usize>| header[at].bytes().any(|byte| byte != b'0');
    let valid = lengths == [2, 32, 16, 2] && header.bytes().all(hex) && id(3..35) && id(36..52);
    valid.then(|| header.to_owned())
}

#[cfg(test)]
mod tests {
    use super::traceparent;

    #[test]
    fn only_a_traceparent_is_taken_for_one() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(traceparent(good).as_deref(), Some(good));
        for bad in [
            "",
            "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-é0f7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(traceparent(bad), None, "{bad}");
        }
    }
}
