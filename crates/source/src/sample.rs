//! Made-up segments for demonstrations, tests and measurements.
//!
//! A row is a function of the seed and its number, so a segment of any size is written in constant
//! memory, and the same numbers give the same bytes on every machine and in every version; a test keeps
//! it so. All addresses and telephone numbers are from ranges that belong to nobody: domains under
//! example.com, .org and .net, the country code +999, which is not assigned, and national numbers of the
//! forms 555-01xx and 07700 900xxx.
//!
//! One row in five has names and a city outside ASCII. One in a hundred has an internationalised domain,
//! another one in a hundred a national phone number. One in two hundred repeats the address of an
//! earlier row: half of these repeat the whole row, the others have another id and other values. But for
//! whole rows, ids are unique.

use std::io::{self, Write};

mod people;

use people::Language;

/// How [`write()`] writes the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SampleFormat {
    /// UTF-8, commas, a header, LF.
    Csv,
    /// One object a line, with numbers as numbers.
    Ndjson,
}

/// The columns of a sample.
pub const COLUMNS: [&str; 11] = [
    "customer_id",
    "email",
    "first_name",
    "last_name",
    "phone",
    "city",
    "country",
    "loyalty_tier",
    "lifetime_value",
    "orders",
    "last_purchase",
];

/// Writes `rows` rows, about 115 bytes each, through a buffer of its own.
///
/// `dirty` spoils about one row in fifty: addresses that are missing or bad, bad phone numbers, ids of
/// 300 characters, cells that a spreadsheet would run as formulas, quoted line breaks, ragged rows (cut
/// off lines in NDJSON), bytes that are not UTF-8, NUL characters and, behind row 10,000, words where
/// numbers were. The first row is always good.
pub fn write(
    out: impl Write,
    rows: u64,
    seed: u64,
    dirty: bool,
    format: SampleFormat,
) -> io::Result<()> {
    let mut out = io::BufWriter::with_capacity(256 << 10, out);
    let source = Source { seed, dirty };
    if format == SampleFormat::Csv {
        writeln!(out, "{}", COLUMNS.join(","))?;
    }
    let mut line = Vec::with_capacity(512);
    for row in 0..rows {
        let (person, fault) = source.row(row);
        line.clear();
        match format {
            SampleFormat::Csv => person.write_csv(fault, &mut line),
            SampleFormat::Ndjson => person.write_ndjson(fault, &mut line),
        }
        out.write_all(&line)?;
    }
    out.flush()
}

/// `SplitMix64` by Steele, Lea and Flood (2014): small, and fixed for ever.
struct Rng(u64);

impl Rng {
    const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

    fn for_row(seed: u64, row: u64) -> Self {
        let mut rng = Self(seed ^ row.wrapping_mul(Self::STEP).rotate_left(32));
        rng.next(); // neighbouring rows begin with states that are alike
        Self(rng.next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(Self::STEP);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From 0 to `end - 1`. The bias is far below what a sample could show.
    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        let index = self.below(from.len() as u64);
        from[usize::try_from(index).unwrap_or(0)]
    }

    fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

/// What is wrong with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    AddressMissing,
    AddressBad,
    PhoneBad,
    IdTooLong,
    Formula,
    LineBreak,
    Ragged,
    NotUtf8,
    Nul,
    WordForNumber,
}

const FAULTS: [Fault; 10] = [
    Fault::AddressMissing,
    Fault::AddressBad,
    Fault::PhoneBad,
    Fault::IdTooLong,
    Fault::Formula,
    Fault::LineBreak,
    Fault::Ragged,
    Fault::NotUtf8,
    Fault::Nul,
    Fault::WordForNumber,
];

/// Rows before this one never have a word for a number, so that the types of the columns are settled.
const TYPES_SETTLED: u64 = 10_000;

/// What becomes of a row, drawn before anything else.
enum Lot {
    Plain,
    Faulty(Fault),
    /// Repeats the address of an earlier row.
    Duplicate {
        of: u64,
        whole: bool,
    },
}

struct Source {
    seed: u64,
    dirty: bool,
}

impl Source {
    fn lot(&self, row: u64, rng: &mut Rng) -> Lot {
        if row == 0 {
            return Lot::Plain;
        }
        if self.dirty && rng.one_in(50) {
            let fault = rng.pick(&FAULTS);
            if fault != Fault::WordForNumber || row >= TYPES_SETTLED {
                return Lot::Faulty(fault);
            }
        } else if rng.one_in(200) {
            let (of, whole) = (self.plain_row_before(row, rng), rng.one_in(2));
            return Lot::Duplicate { of, whole };
        }
        Lot::Plain
    }

    fn plain_row_before(&self, row: u64, rng: &mut Rng) -> u64 {
        let mut of = row;
        while of > 0 {
            of = rng.below(of);
            if let Lot::Plain = self.lot(of, &mut Rng::for_row(self.seed, of)) {
                break;
            }
        }
        of
    }

    fn row(&self, row: u64) -> (Person, Option<Fault>) {
        let mut rng = Rng::for_row(self.seed, row);
        match self.lot(row, &mut rng) {
            Lot::Plain => (Person::draw(row, &mut rng), None),
            Lot::Faulty(fault) => (Person::draw(row, &mut rng), Some(fault)),
            Lot::Duplicate { of, whole } => {
                let (original, _) = self.row(of);
                if whole {
                    return (original, None);
                }
                let other = Person::draw(row, &mut rng);
                let Person { first, last, number, domain, .. } = original;
                (Person { first, last, number, domain, ..other }, None)
            }
        }
    }
}

/// One row, before it is spoilt.
struct Person {
    id: u64,
    first: (&'static str, &'static str),
    last: (&'static str, &'static str),
    /// Makes the address unique.
    number: u64,
    domain: &'static str,
    phone: Phone,
    place: (&'static str, &'static str),
    tier: &'static str,
    cents: u64,
    orders: u64,
    date: (u64, u64, u64),
    /// Chooses how a fault looks.
    variant: u64,
}

struct Phone {
    owner: u64,
    area: Option<u16>,
    line: u64,
    national: bool,
}

impl Person {
    fn draw(row: u64, rng: &mut Rng) -> Self {
        const ENGLISH: &Language = &people::ENGLISH;
        let others: &[Language] = &people::OTHERS;
        let language = if rng.one_in(5) {
            &others[usize::try_from(rng.below(others.len() as u64)).unwrap_or(0)]
        } else {
            ENGLISH
        };
        let (first, last) = (rng.pick(language.first), rng.pick(language.last));
        let domain = if rng.one_in(100) {
            rng.pick(&people::INTERNATIONAL_DOMAINS)
        } else {
            rng.pick(&people::DOMAINS)
        };
        let place = rng.pick(language.places);
        let orders = rng.below(40);
        Self {
            id: row + 1,
            first,
            last,
            number: row + 1,
            domain,
            phone: Phone::draw(row + 1, place.1 == "US", rng),
            place,
            tier: rng.pick(&people::TIERS),
            cents: orders * (500 + rng.below(12_000)),
            orders,
            date: (2019 + rng.below(7), 1 + rng.below(12), 1 + rng.below(28)),
            variant: rng.next(),
        }
    }

    fn write_csv(&self, fault: Option<Fault>, line: &mut Vec<u8>) {
        let mut cells = Cells { line, style: Style::Csv, column: 0 };
        self.write(fault, &mut cells);
        match fault {
            Some(Fault::Ragged) if self.variant.is_multiple_of(2) => line.push(b','),
            Some(Fault::Ragged) => {
                let comma = line.iter().rposition(|byte| *byte == b',').unwrap_or(0);
                line.truncate(comma);
            }
            _ => {}
        }
        line.push(b'\n');
    }

    fn write_ndjson(&self, fault: Option<Fault>, line: &mut Vec<u8>) {
        let mut cells = Cells { line, style: Style::Json, column: 0 };
        self.write(fault, &mut cells);
        if fault != Some(Fault::Ragged) {
            line.push(b'}');
        }
        line.push(b'\n');
    }

    fn write(&self, fault: Option<Fault>, cells: &mut Cells<'_>) {
        let fault_is = |kind| fault == Some(kind);
        let variant = |of: &[&'static str]| Rng(self.variant).pick(of);

        cells.text(|out| {
            out.push(b"C-");
            out.number(self.id, 8);
            if fault_is(Fault::IdTooLong) {
                out.push(&[b'x'; 290]);
            }
        });
        cells.text(|out| match fault {
            Some(Fault::AddressMissing) => {}
            Some(Fault::AddressBad) => out.push(variant(&people::BAD_ADDRESSES).as_bytes()),
            _ => self.write_address(out),
        });
        cells.text(|out| match fault {
            Some(Fault::Formula) => out.push(variant(&people::FORMULAS).as_bytes()),
            Some(Fault::NotUtf8) => out.push(b"Ren\xE9"), // Latin-1
            _ => out.push(self.first.0.as_bytes()),
        });
        cells.text(|out| {
            out.push(self.last.0.as_bytes());
            if fault_is(Fault::Nul) {
                out.nul();
            }
        });
        cells.text(|out| match fault {
            Some(Fault::PhoneBad) => out.push(variant(&people::BAD_PHONES).as_bytes()),
            _ => self.phone.write(out),
        });
        if fault_is(Fault::LineBreak) {
            cells.quoted(|out| {
                out.push(self.place.0.as_bytes());
                out.line_break();
                out.push(b"2nd floor");
            });
        } else if self.place.0.contains(',') {
            cells.quoted(|out| out.push(self.place.0.as_bytes()));
        } else {
            cells.text(|out| out.push(self.place.0.as_bytes()));
        }
        cells.text(|out| out.push(self.place.1.as_bytes()));
        cells.text(|out| out.push(self.tier.as_bytes()));
        cells.bare(|out| {
            out.number(self.cents / 100, 1);
            out.push(b".");
            out.number(self.cents % 100, 2);
        });
        if fault_is(Fault::WordForNumber) {
            cells.text(|out| out.push(b"several"));
        } else {
            cells.bare(|out| out.number(self.orders, 1));
        }
        cells.text(|out| {
            let (year, month, day) = self.date;
            out.number(year, 4);
            out.push(b"-");
            out.number(month, 2);
            out.push(b"-");
            out.number(day, 2);
        });
    }

    fn write_address(&self, out: &mut Cells<'_>) {
        out.push(self.first.1.as_bytes());
        out.push(b".");
        out.push(self.last.1.as_bytes());
        out.push(b".");
        out.number(self.number, 1);
        out.push(b"@");
        out.push(self.domain.as_bytes());
    }
}

impl Phone {
    fn draw(owner: u64, american: bool, rng: &mut Rng) -> Self {
        let national = rng.one_in(100);
        if american {
            let (area, line) = (Some(rng.pick(&people::AREA_CODES)), rng.below(100));
            Self { owner, area, line, national }
        } else {
            Self { owner, area: None, line: rng.below(1000), national }
        }
    }

    fn write(&self, out: &mut Cells<'_>) {
        match (self.area, self.national) {
            // No two people share a number, as in a shop: Klaviyo would take them for one.
            (_, false) => {
                out.push(b"+999");
                out.number(self.owner, 9);
            }
            (Some(area), true) => {
                out.push(b"(");
                out.number(area.into(), 3);
                out.push(b") 555-01");
                out.number(self.line, 2);
            }
            (None, true) => {
                out.push(b"07700 900");
                out.number(self.line, 3);
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Style {
    Csv,
    Json,
}

/// Writes one cell after the other. Nothing in a sample needs an escape but what is named here.
struct Cells<'a> {
    line: &'a mut Vec<u8>,
    style: Style,
    column: usize,
}

impl Cells<'_> {
    fn begin(&mut self) {
        match (self.style, self.column) {
            (Style::Csv, 0) => {}
            (Style::Csv, _) => self.push(b","),
            (Style::Json, column) => {
                self.push(if column == 0 { b"{\"" } else { b",\"" });
                self.push(COLUMNS[column].as_bytes());
                self.push(b"\":");
            }
        }
        self.column += 1;
    }

    /// Text that holds no delimiter, quote or line break.
    fn text(&mut self, write: impl FnOnce(&mut Self)) {
        match self.style {
            Style::Csv => self.bare(write),
            Style::Json => self.quoted(write),
        }
    }

    fn quoted(&mut self, write: impl FnOnce(&mut Self)) {
        self.begin();
        self.push(b"\"");
        write(self);
        self.push(b"\"");
    }

    fn bare(&mut self, write: impl FnOnce(&mut Self)) {
        self.begin();
        write(self);
    }

    fn push(&mut self, bytes: &[u8]) {
        self.line.extend_from_slice(bytes);
    }

    fn line_break(&mut self) {
        self.push(if self.style == Style::Csv { b"\n" } else { b"\\n" });
    }

    fn nul(&mut self) {
        self.push(if self.style == Style::Csv { b"\0" } else { b"\\u0000" });
    }

    fn number(&mut self, mut value: u64, min_digits: usize) {
        let mut digits = [b'0'; 20];
        let mut from = digits.len();
        while value > 0 || digits.len() - from < min_digits {
            from -= 1;
            digits[from] = b'0' + u8::try_from(value % 10).unwrap_or(0);
            value /= 10;
        }
        self.push(&digits[from..]);
    }
}
