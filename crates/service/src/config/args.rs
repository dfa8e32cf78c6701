//! The keys of a role as flags.

use std::{collections::BTreeMap, fmt, marker::PhantomData, path::PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, parser::ValueSource};

use crate::config::{Config, ConfigError, Key, Role, load};

const FILE: &str = "config";
const PRINT: &str = "print-config";

/// The flags of one role, for `#[command(flatten)]`.
pub struct ConfigArgs<R> {
    pub(crate) values: BTreeMap<Key, String>,
    pub(crate) file: Option<PathBuf>,
    /// Print the configuration instead of starting: `say(config.to_toml())`.
    pub print_config: bool,
    role: PhantomData<R>,
}

impl<R: Role> ConfigArgs<R> {
    /// Puts flags, environment, file and defaults together, and looks at each value that the role uses.
    ///
    /// # Errors
    /// Something is unknown, wrong or missing; one sentence says what, where and what to do. Nothing is
    /// missing if the configuration is only to be printed.
    pub fn load(&self) -> Result<Config, ConfigError> {
        self.load_from(std::env::vars_os())
    }

    /// [`Self::load`] with an environment of one's own.
    ///
    /// # Errors
    /// As `load`.
    pub fn load_from<T: Into<std::ffi::OsString>>(
        &self,
        environment: impl IntoIterator<Item = (T, T)>,
    ) -> Result<Config, ConfigError> {
        let variables = load::variables(environment)?;
        load::load::<R>(&self.values, self.file.clone(), &variables, self.print_config)
    }
}

impl<R> fmt::Debug for ConfigArgs<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values may hold passwords.
        f.debug_struct("ConfigArgs").field("keys", &self.values.keys()).finish_non_exhaustive()
    }
}

impl<R> Clone for ConfigArgs<R> {
    fn clone(&self) -> Self {
        Self {
            values: self.values.clone(),
            file: self.file.clone(),
            print_config: self.print_config,
            role: PhantomData,
        }
    }
}

impl<R: Role> Args for ConfigArgs<R> {
    fn augment_args(mut command: Command) -> Command {
        for key in R::KEYS {
            let spec = key.spec();
            let default = spec.default.map(|it| format!(" [default: {it}]")).unwrap_or_default();
            let help = format!("{} [env: {}]{default}", spec.help, key.variable());
            let arg = Arg::new(key.flag()).long(key.flag()).value_name(spec.shape).help(help);
            command = command.arg(arg.help_heading("Configuration"));
        }
        let file = Arg::new(FILE)
            .long(FILE)
            .value_name("FILE.toml")
            .value_parser(clap::value_parser!(PathBuf))
            .help("A file that holds any of these, with underscores [env: SEGUE_CONFIG]");
        let print = Arg::new(PRINT)
            .long(PRINT)
            .action(ArgAction::SetTrue)
            .help("Print what is in force and where each value stands, without secrets, and end");
        command.arg(file.help_heading("Configuration")).arg(print.help_heading("Configuration"))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<R: Role> FromArgMatches for ConfigArgs<R> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let typed =
            |id: &str| matches.value_source(id).is_some_and(|it| it == ValueSource::CommandLine);
        let values = R::KEYS.iter().filter(|key| typed(key.flag())).filter_map(|key| {
            matches.get_one::<String>(key.flag()).map(|value| (*key, value.clone()))
        });
        Ok(Self {
            values: values.collect(),
            file: matches.get_one::<PathBuf>(FILE).cloned(),
            print_config: matches.get_flag(PRINT),
            role: PhantomData,
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
