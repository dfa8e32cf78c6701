//! The names by which columns are known. `docs/columns.md` is generated from this table.

use std::{collections::HashMap, fmt::Write};

use crate::Attribute::{
    self, Address1, Address2, City, Country, Email, ExternalId, FirstName, Image, Ip, LastName,
    Latitude, Locale, Longitude, Organization, PhoneNumber, Region, Timezone, Title, Zip,
};

/// Whose word a name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    English,
    German,
    French,
    Spanish,
    Russian,
    CustomerInsights,
    Shopify,
    Salesforce,
}

use Origin::{CustomerInsights, English, French, German, Russian, Salesforce, Shopify, Spanish};

impl Origin {
    const ALL: [Self; 8] =
        [English, German, French, Spanish, Russian, CustomerInsights, Shopify, Salesforce];

    fn title(self) -> &'static str {
        match self {
            English => "English",
            German => "German",
            French => "French",
            Spanish => "Spanish",
            Russian => "Russian",
            CustomerInsights => "Customer Insights",
            Shopify => "Shopify",
            Salesforce => "Salesforce",
        }
    }
}

/// Left out on purpose, because they often mean something else: `id` and `customer id` (only a
/// column that is called external holds the id that Klaviyo shows as external), `country code` and
/// `province code` beside the names they abbreviate, `language` (often a word, not a tag), `Titel`
/// and `salutation` (forms of address), `Estado` and `État` (also: status), `name` (first or whole).
const TABLE: &[(Attribute, Origin, &[&str])] = &[
    (Email, English, &["Email", "Email Address", "Mail"]),
    (Email, German, &["E-Mail", "E-Mail-Adresse", "Mailadresse"]),
    (
        Email,
        French,
        &[
            "Courriel",
            "Adresse e-mail",
            "Adresse courriel",
            "Adresse de courriel",
            "Adresse électronique",
        ],
    ),
    (
        Email,
        Spanish,
        &[
            "Correo",
            "Correo electrónico",
            "Dirección de correo electrónico",
            "Dirección de correo",
            "Dirección de email",
        ],
    ),
    (
        Email,
        Russian,
        &["Электронная почта", "Эл. почта", "Адрес электронной почты", "Адрес эл. почты", "Имейл"],
    ),
    (Email, CustomerInsights, &["EMailAddress1", "PrimaryEmail", "msdynci_primaryemail"]),
    (Email, Shopify, &["Email", "Customer Email"]),
    (Email, Salesforce, &["Email", "PersonEmail"]),
    (
        PhoneNumber,
        English,
        &[
            "Phone",
            "Phone Number",
            "Telephone",
            "Telephone Number",
            "Mobile",
            "Mobile Number",
            "Mobile Phone",
            "Mobile Phone Number",
            "Cell",
            "Cell Phone",
        ],
    ),
    (
        PhoneNumber,
        German,
        &[
            "Telefon",
            "Telefonnummer",
            "Rufnummer",
            "Mobil",
            "Mobilnummer",
            "Mobiltelefon",
            "Handy",
            "Handynummer",
        ],
    ),
    (
        PhoneNumber,
        French,
        &[
            "Téléphone",
            "Numéro de téléphone",
            "Portable",
            "Téléphone portable",
            "Téléphone mobile",
            "Numéro de portable",
        ],
    ),
    (
        PhoneNumber,
        Spanish,
        &[
            "Teléfono",
            "Número de teléfono",
            "Móvil",
            "Teléfono móvil",
            "Celular",
            "Teléfono celular",
        ],
    ),
    (
        PhoneNumber,
        Russian,
        &[
            "Телефон",
            "Номер телефона",
            "Мобильный",
            "Мобильный телефон",
            "Номер мобильного телефона",
        ],
    ),
    (PhoneNumber, CustomerInsights, &["telephone1", "mobilephone", "msdynci_mobilephone"]),
    (PhoneNumber, Shopify, &["Phone"]),
    (PhoneNumber, Salesforce, &["Phone", "MobilePhone", "PersonMobilePhone"]),
    (ExternalId, English, &["External ID"]),
    (ExternalId, German, &["Externe ID"]),
    (ExternalId, French, &["ID externe", "Identifiant externe"]),
    (ExternalId, Spanish, &["ID externo", "Identificador externo"]),
    (ExternalId, Russian, &["Внешний ID", "Внешний идентификатор"]),
    (FirstName, English, &["First Name", "Given Name", "Forename"]),
    (FirstName, German, &["Vorname"]),
    (FirstName, French, &["Prénom"]),
    (FirstName, Spanish, &["Nombre", "Nombre de pila"]),
    (FirstName, Russian, &["Имя"]),
    (FirstName, CustomerInsights, &["FirstName", "msdynci_firstname"]),
    (FirstName, Shopify, &["First Name"]),
    (FirstName, Salesforce, &["FirstName"]),
    (LastName, English, &["Last Name", "Surname", "Family Name"]),
    (LastName, German, &["Nachname", "Familienname"]),
    (LastName, French, &["Nom", "Nom de famille"]),
    (LastName, Spanish, &["Apellido", "Apellidos"]),
    (LastName, Russian, &["Фамилия"]),
    (LastName, CustomerInsights, &["LastName", "msdynci_lastname"]),
    (LastName, Shopify, &["Last Name"]),
    (LastName, Salesforce, &["LastName"]),
    (
        Organization,
        English,
        &["Organization", "Organisation", "Organization Name", "Company", "Company Name"],
    ),
    (Organization, German, &["Firma", "Firmenname", "Unternehmen"]),
    (Organization, French, &["Entreprise", "Société", "Nom de l'entreprise", "Raison sociale"]),
    (Organization, Spanish, &["Empresa", "Organización", "Compañía", "Nombre de la empresa"]),
    (Organization, Russian, &["Компания", "Организация", "Название компании"]),
    (Organization, CustomerInsights, &["CompanyName"]),
    (Organization, Shopify, &["Company", "Default Address Company"]),
    (Organization, Salesforce, &["Account Name", "Company"]),
    (Locale, English, &["Locale", "Locale Code", "Language Code"]),
    (Locale, German, &["Gebietsschema", "Sprachcode"]),
    (Locale, French, &["Paramètres régionaux", "Code langue"]),
    (Locale, Spanish, &["Configuración regional", "Código de idioma"]),
    (Locale, Russian, &["Локаль", "Код языка"]),
    (Title, English, &["Title", "Job Title"]),
    (Title, German, &["Jobtitel", "Berufsbezeichnung", "Stellenbezeichnung"]),
    (Title, French, &["Fonction", "Poste", "Intitulé du poste"]),
    (Title, Spanish, &["Cargo", "Puesto"]),
    (Title, Russian, &["Должность"]),
    (Title, CustomerInsights, &["JobTitle"]),
    (Title, Salesforce, &["Title", "PersonTitle"]),
    (Image, English, &["Image", "Image URL", "Photo", "Photo URL", "Avatar", "Profile Picture"]),
    (Image, German, &["Bild", "Foto", "Profilbild"]),
    (Image, French, &["Photo", "Photo de profil"]),
    (Image, Spanish, &["Imagen", "Foto", "Foto de perfil"]),
    (Image, Russian, &["Изображение", "Фото", "Фотография", "Аватар"]),
    (Image, CustomerInsights, &["entityimage_url"]),
    (Image, Salesforce, &["PhotoUrl"]),
    (Address1, English, &["Address", "Address 1", "Address Line 1", "Street", "Street Address"]),
    (
        Address1,
        German,
        &["Adresse", "Adresszeile 1", "Anschrift", "Straße", "Straße und Hausnummer"],
    ),
    (Address1, French, &["Adresse", "Adresse 1", "Adresse ligne 1", "Rue"]),
    (Address1, Spanish, &["Dirección", "Dirección 1", "Calle"]),
    (Address1, Russian, &["Адрес", "Адрес 1", "Улица"]),
    (Address1, CustomerInsights, &["address1_line1", "Address 1: Street 1"]),
    (Address1, Shopify, &["Address1", "Default Address Address1"]),
    (Address1, Salesforce, &["Mailing Street", "PersonMailingStreet"]),
    (Address2, English, &["Address 2", "Address Line 2"]),
    (Address2, German, &["Adresszusatz", "Adresszeile 2"]),
    (Address2, French, &["Adresse 2", "Adresse ligne 2", "Complément d'adresse"]),
    (Address2, Spanish, &["Dirección 2"]),
    (Address2, Russian, &["Адрес 2"]),
    (Address2, CustomerInsights, &["address1_line2", "Address 1: Street 2"]),
    (Address2, Shopify, &["Address2", "Default Address Address2"]),
    (City, English, &["City", "Town"]),
    (City, German, &["Stadt", "Ort", "Wohnort"]),
    (City, French, &["Ville"]),
    (City, Spanish, &["Ciudad", "Localidad"]),
    (City, Russian, &["Город", "Населённый пункт"]),
    (City, CustomerInsights, &["address1_city", "Address 1: City"]),
    (City, Shopify, &["City", "Default Address City"]),
    (City, Salesforce, &["Mailing City", "PersonMailingCity"]),
    (Country, English, &["Country", "Country/Region"]),
    (Country, German, &["Land"]),
    (Country, French, &["Pays"]),
    (Country, Spanish, &["País"]),
    (Country, Russian, &["Страна"]),
    (Country, CustomerInsights, &["address1_country", "Address 1: Country/Region"]),
    (Country, Shopify, &["Country", "Default Address Country Code"]),
    (Country, Salesforce, &["Mailing Country", "PersonMailingCountry"]),
    (Latitude, English, &["Latitude", "Lat"]),
    (Latitude, German, &["Breitengrad", "Geographische Breite"]),
    (Latitude, French, &["Latitude"]),
    (Latitude, Spanish, &["Latitud"]),
    (Latitude, Russian, &["Широта"]),
    (Latitude, CustomerInsights, &["address1_latitude"]),
    (Latitude, Salesforce, &["Mailing Latitude", "PersonMailingLatitude"]),
    (Longitude, English, &["Longitude", "Lon", "Lng"]),
    (Longitude, German, &["Längengrad", "Geographische Länge"]),
    (Longitude, French, &["Longitude"]),
    (Longitude, Spanish, &["Longitud"]),
    (Longitude, Russian, &["Долгота"]),
    (Longitude, CustomerInsights, &["address1_longitude"]),
    (Longitude, Salesforce, &["Mailing Longitude", "PersonMailingLongitude"]),
    (Region, English, &["Region", "State", "Province", "State/Province"]),
    (Region, German, &["Region", "Bundesland", "Kanton"]),
    (Region, French, &["Région", "Province"]),
    (Region, Spanish, &["Región", "Provincia", "Estado o provincia"]),
    (Region, Russian, &["Регион", "Область"]),
    (Region, CustomerInsights, &["address1_stateorprovince", "Address 1: State/Province"]),
    (Region, Shopify, &["Province", "Default Address Province Code"]),
    (Region, Salesforce, &["Mailing State", "Mailing State/Province", "PersonMailingState"]),
    (Zip, English, &["Zip", "Zip Code", "Postal Code", "Postcode", "ZIP/Postal Code"]),
    (Zip, German, &["PLZ", "Postleitzahl"]),
    (Zip, French, &["Code postal"]),
    (Zip, Spanish, &["Código postal"]),
    (Zip, Russian, &["Индекс", "Почтовый индекс"]),
    (Zip, CustomerInsights, &["address1_postalcode", "Address 1: ZIP/Postal Code"]),
    (Zip, Shopify, &["Zip", "Default Address Zip"]),
    (Zip, Salesforce, &["Mailing Zip/Postal Code", "MailingPostalCode", "PersonMailingPostalCode"]),
    (Timezone, English, &["Time Zone"]),
    (Timezone, German, &["Zeitzone"]),
    (Timezone, French, &["Fuseau horaire"]),
    (Timezone, Spanish, &["Zona horaria", "Huso horario"]),
    (Timezone, Russian, &["Часовой пояс"]),
    (Ip, English, &["IP", "IP Address"]),
    (Ip, German, &["IP-Adresse"]),
    (Ip, French, &["Adresse IP"]),
    (Ip, Spanish, &["Dirección IP"]),
    (Ip, Russian, &["IP-адрес"]),
];

/// The published table, ready to be asked. Case, separators and accents make no difference.
#[derive(Debug, Clone)]
pub struct KnownColumns(HashMap<String, Attribute>);

impl KnownColumns {
    pub fn new() -> Self {
        let own = Attribute::ALL.iter().map(|attribute| (fold(attribute.name()), *attribute));
        let table = TABLE
            .iter()
            .flat_map(|(attribute, _, names)| names.iter().map(|name| (fold(name), *attribute)));
        Self(table.chain(own).collect())
    }

    /// The standard attribute that a column of this name goes to, if its name is in the table or is
    /// the name of an attribute.
    pub fn attribute(&self, column: &str) -> Option<Attribute> {
        self.0.get(&fold(column)).copied()
    }
}

impl Default for KnownColumns {
    fn default() -> Self {
        Self::new()
    }
}

/// Letters and digits in lower case, without accents. `ß` is `ss`.
fn fold(name: &str) -> String {
    let mut folded = String::with_capacity(name.len());
    for letter in name.chars().flat_map(char::to_lowercase) {
        match letter {
            'à' | 'á' | 'â' | 'ä' => folded.push('a'),
            'ç' => folded.push('c'),
            'è' | 'é' | 'ê' | 'ë' => folded.push('e'),
            'ì' | 'í' | 'î' | 'ï' => folded.push('i'),
            'ñ' => folded.push('n'),
            'ò' | 'ó' | 'ô' | 'ö' => folded.push('o'),
            'ù' | 'ú' | 'û' | 'ü' => folded.push('u'),
            'ё' => folded.push('е'),
            'й' => folded.push('и'),
            'ß' => folded.push_str("ss"),
            // Also drops combining marks, so composed and decomposed spellings are one.
            letter if letter.is_alphanumeric() => folded.push(letter),
            _ => {}
        }
    }
    folded
}

/// `docs/columns.md`, as the table has it.
pub fn columns_page() -> String {
    let mut page = String::from(
        "# Columns that Segue knows\n\n\
         Without a mapping, a column with one of these names goes to the standard attribute of a\n\
         Klaviyo profile above it. Case, separators and accents make no difference: `First Name`,\n\
         `first_name`, `firstName` and `FIRST-NAME` are one name. The name of the attribute itself\n\
         (`location.city`, `phone_number`) is known too.\n\n\
         Every other column becomes a custom property with the name of the column. Two columns for\n\
         one attribute are an error that names both: choose with `--email` or `--map`. A column\n\
         whose name begins with `$` is not sent: Klaviyo keeps those names for itself.\n\n\
         `--map attribute=column` goes before this table: `--map location.city=town`,\n\
         `--map properties.tier=loyalty`, or with a type `--map properties.tier:text=loyalty`; the\n\
         types are text, number, boolean, date and list.\n\n\
         Generated from `crates/profile/src/columns.rs`; to write it again:\n\
         `UPDATE_DOCS=1 cargo test -p segue-profile --test it`.\n",
    );
    for attribute in Attribute::ALL {
        let kind = attribute.kind();
        // Writing to a string cannot fail.
        _ = write!(page, "\n## {attribute}\n\nHolds: {kind}.\n\n| from | names |\n|---|---|\n");
        for origin in Origin::ALL {
            let names: Vec<String> = TABLE
                .iter()
                .filter(|(to, from, _)| to == attribute && *from == origin)
                .flat_map(|(_, _, names)| names.iter().map(|name| format!("`{name}`")))
                .collect();
            if !names.is_empty() {
                _ = writeln!(page, "| {} | {} |", origin.title(), names.join(", "));
            }
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::{KnownColumns, TABLE, fold};
    use crate::Attribute;

    fn attribute_of(name: &str) -> Option<Attribute> {
        KnownColumns::new().attribute(name)
    }

    #[test]
    fn case_separators_and_accents_make_no_difference() {
        for name in ["First Name", "first_name", "firstName", "FIRST-NAME", " first.name "] {
            assert_eq!(attribute_of(name), Some(Attribute::FirstName), "{name}");
        }
        for name in ["PRÉNOM", "prenom", "pre\u{301}nom"] {
            assert_eq!(attribute_of(name), Some(Attribute::FirstName), "{name}");
        }
        for name in ["Strasse", "STRASSE", "straße"] {
            assert_eq!(attribute_of(name), Some(Attribute::Address1), "{name}");
        }
        assert_eq!(attribute_of("ПОЧТОВЫИ\u{306} ИНДЕКС"), Some(Attribute::Zip));
    }

    #[test]
    fn an_accent_is_left_out_however_it_is_written() {
        for (base, accents, composed) in [
            ("a", "\u{300}\u{301}\u{302}\u{308}", "àáâä"),
            ("c", "\u{327}", "ç"),
            ("e", "\u{300}\u{301}\u{302}\u{308}", "èéêë"),
            ("i", "\u{300}\u{301}\u{302}\u{308}", "ìíîï"),
            ("n", "\u{303}", "ñ"),
            ("o", "\u{300}\u{301}\u{302}\u{308}", "òóôö"),
            ("u", "\u{300}\u{301}\u{302}\u{308}", "ùúûü"),
            ("е", "\u{308}", "ё"),
            ("и", "\u{306}", "й"),
        ] {
            for (accent, letter) in accents.chars().zip(composed.chars()) {
                assert_eq!(fold(&letter.to_string()), base);
                assert_eq!(fold(&format!("{base}{accent}")), base, "{letter} in two characters");
                assert_eq!(fold(&letter.to_uppercase().to_string()), base, "{letter}");
            }
        }
        for (name, attribute) in [
            ("Langengrad", Attribute::Longitude),
            ("Compania", Attribute::Organization),
            ("Direccion", Attribute::Address1),
            ("Numero de telefono", Attribute::PhoneNumber),
            ("Населенный пункт", Attribute::City),
        ] {
            assert_eq!(attribute_of(name), Some(attribute), "{name}");
        }
    }

    #[test]
    fn no_name_means_two_attributes() {
        let mut seen = HashMap::new();
        for (attribute, _, names) in TABLE {
            for name in *names {
                let other = *seen.entry(fold(name)).or_insert(*attribute);
                assert_eq!(other, *attribute, "{name}");
                assert_eq!(attribute_of(name), Some(*attribute), "{name}");
            }
        }
    }

    #[test]
    fn an_attribute_is_known_by_its_own_name() {
        for attribute in Attribute::ALL {
            assert_eq!(attribute_of(attribute.name()), Some(*attribute));
        }
    }

    #[test]
    fn an_id_is_external_only_if_it_is_called_so() {
        for name in ["id", "ID", "customer id", "customer_id", "CustomerId", "Kundennummer"] {
            assert_eq!(attribute_of(name), None, "{name}");
        }
        for name in ["external_id", "Externe-ID", "ID externe", "Внешний ID"] {
            assert_eq!(attribute_of(name), Some(Attribute::ExternalId), "{name}");
        }
    }

    #[test]
    fn a_whole_shopify_export_maps_without_a_conflict() {
        let header = "Customer ID,First Name,Last Name,Email,Accepts Email Marketing,\
            Default Address Company,Default Address Address1,Default Address Address2,\
            Default Address City,Default Address Province Code,Default Address Country Code,\
            Default Address Zip,Default Address Phone,Phone,Accepts SMS Marketing,Total Spent,\
            Total Orders,Note,Tax Exempt,Tags";
        let mut attributes: Vec<_> = header.split(',').filter_map(attribute_of).collect();
        assert_eq!(attributes.len(), 11);
        attributes.sort_unstable();
        attributes.dedup();
        assert_eq!(attributes.len(), 11);
    }
}
