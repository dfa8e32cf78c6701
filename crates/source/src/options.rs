/// Limits of reading. Every one of them turns into a reject of the row, or into an error that says
/// so: nothing is cut off.
#[derive(Debug, Clone)]
pub struct ReadOptions {
    /// Bytes of one cell as it stands in the file, without its outer quotes. Default: 1 MiB.
    pub max_cell_bytes: usize,
    /// Bytes of one row (CSV record or NDJSON line). Default: 8 MiB; at most 1 GiB. While a row of
    /// nothing but delimiters is read it takes about 20 times as much memory.
    pub max_row_bytes: usize,
    /// Columns of one object. Default: 4096.
    pub max_columns: usize,
    /// Rows of an NDJSON object that are looked at for its columns. Default: 10,000.
    pub sampled_rows: usize,
    /// How far a compressed object may unfold.
    pub expansion: Expansion,
    /// Bytes that are read ahead. Default: 256 KiB; grows up to twice `max_row_bytes` for a long row.
    pub buffer_bytes: usize,
}

/// The guard against archives that unfold without end.
#[derive(Debug, Clone)]
pub struct Expansion {
    /// Bytes out for each byte in, once `free_bytes` have come out. Default: 200.
    pub max_ratio: u64,
    /// Bytes out before the ratio counts: small files of one repeated row are harmless. Default: 64 MiB.
    pub free_bytes: u64,
    /// Bytes out, whatever the ratio. Default: 64 GiB.
    pub max_bytes: u64,
}

/// Spans are 31 bits wide; this leaves room for text that had to be unescaped.
const MAX_ROW_BYTES: usize = 1 << 30;

impl ReadOptions {
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            cell: self.max_cell_bytes.min(MAX_ROW_BYTES),
            row: self.max_row_bytes.min(MAX_ROW_BYTES),
        }
    }
}

/// The limits that count for each row, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) cell: usize,
    pub(crate) row: usize,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            max_cell_bytes: 1 << 20,
            max_row_bytes: 8 << 20,
            max_columns: 4096,
            sampled_rows: 10_000,
            expansion: Expansion::default(),
            buffer_bytes: 256 << 10,
        }
    }
}

impl Default for Expansion {
    fn default() -> Self {
        Self { max_ratio: 200, free_bytes: 64 << 20, max_bytes: 64 << 30 }
    }
}
