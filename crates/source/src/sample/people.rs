//! Names and places to draw from. Every entry of the second half has letters outside ASCII.

/// People of one language: names as they are written and as they stand in an address.
pub(super) struct Language {
    pub(super) first: &'static [(&'static str, &'static str)],
    pub(super) last: &'static [(&'static str, &'static str)],
    /// City and country (ISO 3166-1).
    pub(super) places: &'static [(&'static str, &'static str)],
}

pub(super) const ENGLISH: Language = Language {
    first: &[
        ("Olivia", "olivia"),
        ("Noah", "noah"),
        ("Amelia", "amelia"),
        ("Liam", "liam"),
        ("Charlotte", "charlotte"),
        ("Oliver", "oliver"),
        ("Sophie", "sophie"),
        ("Elijah", "elijah"),
        ("Grace", "grace"),
        ("Henry", "henry"),
        ("Jo-Anne", "jo-anne"),
        ("Theodore", "theodore"),
        ("Mia", "mia"),
        ("Jack", "jack"),
        ("Isla", "isla"),
        ("Samuel", "samuel"),
    ],
    last: &[
        ("Smith", "smith"),
        ("Johnson", "johnson"),
        ("Williams", "williams"),
        ("O'Brien", "obrien"),
        ("Taylor", "taylor"),
        ("Brown", "brown"),
        ("Wilson", "wilson"),
        ("Evans", "evans"),
        ("Thompson", "thompson"),
        ("Walker", "walker"),
        ("Robinson", "robinson"),
        ("Hughes", "hughes"),
        ("Edwards", "edwards"),
        ("Clark", "clark"),
        ("Baker", "baker"),
        ("Morgan", "morgan"),
    ],
    places: &[
        ("London", "GB"),
        ("Manchester", "GB"),
        ("Leeds", "GB"),
        ("Bristol", "GB"),
        ("New York", "US"),
        ("Chicago", "US"),
        ("Seattle", "US"),
        ("Austin", "US"),
        ("Boston", "US"),
        ("Denver", "US"),
        ("Portland", "US"),
        ("Washington, DC", "US"),
    ],
};

pub(super) const OTHERS: [Language; 7] = [
    Language {
        first: &[
            ("Jürgen", "juergen"),
            ("Käthe", "kaethe"),
            ("Björn", "bjoern"),
            ("Änne", "aenne"),
        ],
        last: &[
            ("Müller", "mueller"),
            ("Schröder", "schroeder"),
            ("Groß", "gross"),
            ("Jäger", "jaeger"),
        ],
        places: &[("München", "DE"), ("Köln", "DE"), ("Düsseldorf", "DE"), ("Zürich", "CH")],
    },
    Language {
        first: &[
            ("Hélène", "helene"),
            ("François", "francois"),
            ("Zoé", "zoe"),
            ("Benoît", "benoit"),
        ],
        last: &[
            ("Lefèvre", "lefevre"),
            ("Bézard", "bezard"),
            ("Garçon", "garcon"),
            ("Noël", "noel"),
        ],
        places: &[("Orléans", "FR"), ("Nîmes", "FR"), ("Besançon", "FR"), ("Liège", "BE")],
    },
    Language {
        first: &[("José", "jose"), ("Begoña", "begona"), ("Andrés", "andres"), ("Sofía", "sofia")],
        last: &[("Muñoz", "munoz"), ("García", "garcia"), ("Ibáñez", "ibanez"), ("León", "leon")],
        places: &[("Málaga", "ES"), ("A Coruña", "ES"), ("Bogotá", "CO"), ("Mérida", "MX")],
    },
    Language {
        first: &[("Анна", "anna"), ("Дмитрий", "dmitry"), ("Ольга", "olga"), ("Юрий", "yury")],
        last: &[
            ("Иванова", "ivanova"),
            ("Кузнецов", "kuznetsov"),
            ("Соколова", "sokolova"),
            ("Попов", "popov"),
        ],
        places: &[("Алматы", "KZ"), ("Рига", "LV"), ("Бишкек", "KG"), ("Минск", "BY")],
    },
    Language {
        first: &[("Søren", "soeren"), ("Åse", "aase"), ("Jørgen", "joergen"), ("Mærsk", "maersk")],
        last: &[
            ("Sørensen", "soerensen"),
            ("Ågård", "aagaard"),
            ("Bækgaard", "baekgaard"),
            ("Kjær", "kjaer"),
        ],
        places: &[("København", "DK"), ("Århus", "DK"), ("Tromsø", "NO"), ("Malmö", "SE")],
    },
    Language {
        first: &[("Łukasz", "lukasz"), ("Zdeněk", "zdenek"), ("Małgorzata", "malgorzata")],
        last: &[("Dąbrowski", "dabrowski"), ("Dvořák", "dvorak"), ("Wójcik", "wojcik")],
        places: &[("Łódź", "PL"), ("Kraków", "PL"), ("Plzeň", "CZ")],
    },
    Language {
        first: &[("美咲", "misaki"), ("大輔", "daisuke"), ("さくら", "sakura")],
        last: &[("佐藤", "sato"), ("鈴木", "suzuki"), ("髙橋", "takahashi")],
        places: &[("東京", "JP"), ("大阪", "JP"), ("札幌市", "JP")],
    },
];

/// Domains that are reserved for examples (RFC 2606) and names under them.
pub(super) const DOMAINS: [&str; 8] = [
    "example.com",
    "example.org",
    "example.net",
    "mail.example.com",
    "mail.example.org",
    "post.example.net",
    "shop.example.com",
    "inbox.example.net",
];

pub(super) const INTERNATIONAL_DOMAINS: [&str; 6] = [
    "exämple.example.org",
    "почта.example.net",
    "bücher.example.com",
    "courriel-été.example.org",
    "café.example.net",
    "例え.example.com",
];

/// Area codes whose 555-0100 to 555-0199 are set aside for fiction.
pub(super) const AREA_CODES: [u16; 12] =
    [202, 206, 212, 303, 312, 415, 503, 512, 617, 646, 702, 773];

pub(super) const TIERS: [&str; 4] = ["bronze", "silver", "gold", "platinum"];

pub(super) const FORMULAS: [&str; 4] = ["=1+1", "+1+1", "-1+1", "@SUM(1)"];

pub(super) const BAD_ADDRESSES: [&str; 6] = [
    "not-an-address",
    "two@@example.com",
    "@example.org",
    "nobody@",
    "with space@example.net",
    "dot.@example.com",
];

pub(super) const BAD_PHONES: [&str; 4] = ["call me", "+1202", "+999999999999999999", "n/a"];
