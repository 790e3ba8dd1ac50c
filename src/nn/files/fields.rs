//! Objects as JSON: what describes their fields both writes and reads them.
//!
//! A reader goes on after a problem, so that all of them are listed, each with its place.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

/// What is wrong with a file.
pub(super) type Problems = Vec<String>;

/// Adds what can't be read.
pub(super) fn refuse<T>(found: &Value, at: &str, problems: &mut Problems) -> Option<T> {
    problems.push(format!("{at} is {found}, which is not possible here"));
    None
}

/// A value that is an object of a class, as Keras writes one.
pub(super) trait Object: Clone {
    const MODULE: &'static str;

    fn class(&self) -> &'static str;

    /// One of a class, whose fields are yet to be read.
    fn of_class(class: &str) -> Option<Self>;

    /// Writes or reads all fields.
    fn describe(&mut self, fields: &mut Fields);

    fn write(&self) -> Value {
        json!({"module": Self::MODULE, "class_name": self.class(), "config": self.config()})
    }

    /// All fields.
    fn config(&self) -> Map<String, Value> {
        let mut fields = Fields {
            class: self.class(),
            at: "",
            values: Map::new(),
            problems: None,
        };
        self.clone().describe(&mut fields);
        fields.values
    }

    /// The object that was found at a place.
    fn read(found: Value, at: &str, problems: &mut Problems) -> Option<Self> {
        let Value::Object(mut values) = found else {
            return refuse(&found, at, problems);
        };
        refuse_others(&values, at, problems);
        let class = values.remove("class_name").unwrap_or_default();
        let config = values.remove("config").unwrap_or_default();
        refuse_unusual(values, at, problems);
        let name = class.as_str().unwrap_or_default();
        let Some(mut object) = Self::of_class(name) else {
            return refuse(&class, &format!("{at}.class_name"), problems);
        };
        let Value::Object(values) = config else {
            return refuse(&config, &format!("{at}.config"), problems);
        };
        let mut fields = Fields {
            class: name,
            at,
            values,
            problems: Some(problems),
        };
        object.describe(&mut fields);
        let values = fields.values;
        refuse_unusual(values, at, problems);
        Some(object)
    }
}

/// The fields of an object, to be written, or to be read if there is a list for problems.
pub(super) struct Fields<'a> {
    class: &'a str,
    at: &'a str,
    values: Map<String, Value>,
    problems: Option<&'a mut Problems>,
}

impl Fields<'_> {
    /// The class that the object has in the file.
    pub fn class(&self) -> &str {
        self.class
    }

    /// Whether there is a field that may be missing, since it is written only where it is needed.
    pub fn has(&self, key: &str, is_needed: bool) -> bool {
        match self.problems {
            Some(_) => self.values.contains_key(key),
            None => is_needed,
        }
    }

    /// A field that `write` writes, and `read` reads from what was found at a place.
    pub fn field<T>(
        &mut self,
        key: &str,
        value: &mut T,
        write: impl FnOnce(&T) -> Value,
        read: impl FnOnce(Value, &str, &mut Problems) -> Option<T>,
    ) {
        let Some(problems) = &mut self.problems else {
            self.values.insert(key.into(), write(value));
            return;
        };
        let at = format!("{}.{key}", self.at);
        match self.values.remove(key) {
            Some(found) => {
                if let Some(found) = read(found, &at, problems) {
                    *value = found;
                }
            }
            None => problems.push(format!("{at} is missing")),
        }
    }

    /// A field that is in JSON what it is in Rust.
    pub fn plain<T: Serialize + DeserializeOwned>(&mut self, key: &str, value: &mut T) {
        let read = |found, at: &str, problems: &mut Problems| {
            let wrong = |problem| problems.push(format!("{at}: {problem}"));
            serde_json::from_value(found).map_err(wrong).ok()
        };
        self.field(key, value, |value| json!(value), read);
    }

    /// A field that is one of a few.
    pub fn choice<T: Copy + PartialEq>(&mut self, key: &str, value: &mut T, all: &[(&str, T)]) {
        let write = |value: &T| {
            let known = all.iter().find(|(_, known)| known == value);
            known.map(|(name, _)| *name).into()
        };
        let read = |found: Value, at: &str, problems: &mut Problems| {
            let known = all.iter().find(|(name, _)| found == *name);
            known.map_or_else(|| refuse(&found, at, problems), |(_, known)| Some(*known))
        };
        self.field(key, value, write, read);
    }

    /// A field that is an object.
    pub fn object<T: Object>(&mut self, key: &str, value: &mut T) {
        self.field(key, value, T::write, T::read);
    }
}

/// Refuses an object of a class that is not Keras's own, whatever it is called.
pub(super) fn refuse_others(object: &Map<String, Value>, at: &str, problems: &mut Problems) {
    let module = object.get("module").filter(|module| !module.is_null());
    let package = module.and_then(|module| module.as_str()?.split('.').next());
    if let Some(module) = module
        && !matches!(package, Some("keras" | "tf_keras"))
    {
        refuse::<()>(module, &format!("{at}.module"), problems);
    }
    // Keras registers its own under their modules.
    let registered = object.get("registered_name").filter(|name| !name.is_null());
    let is_users =
        |name: &&Value| module.is_none() || name.as_str().is_none_or(|name| name.contains('>'));
    if let Some(registered) = registered.filter(is_users) {
        refuse::<()>(registered, &format!("{at}.registered_name"), problems);
    }
}

/// What nobody has read is a problem, unless Keras writes it and it means nothing here, or what is always so.
fn refuse_unusual(values: Map<String, Value>, at: &str, problems: &mut Problems) {
    for (key, value) in values {
        let is_usual = match key.as_str() {
            "module" | "registered_name" | "build_config" | "compile_config"
            | "build_input_shape" | "name" | "trainable" | "seed" => true,
            "ragged" | "sparse" | "optional" => value == false,
            "dtype" => value == "float32" || value["config"]["name"] == "float32",
            "data_format" => value == "channels_last",
            "dilation_rate" => value == json!([1, 1]),
            "groups" => value == 1,
            "axis" => value == -1 || value == json!([-1]),
            "center" | "scale" => value == true,
            "invert" | "keepdims" | "renorm" | "rms_scaling" | "synchronized" => value == false,
            // Without renorm it means nothing.
            "renorm_momentum" => true,
            "beta_initializer" | "moving_mean_initializer" => value["class_name"] == "Zeros",
            "gamma_initializer" | "moving_variance_initializer" => value["class_name"] == "Ones",
            "negative_slope" | "threshold" => value == 0.0,
            _ => value.is_null() && NONE.contains(&key.as_str()),
        };
        if !is_usual {
            refuse::<()>(&value, &format!("{at}.{key}"), problems);
        }
    }
}

/// What is null where there is none.
const NONE: [&str; 15] = [
    "bias_regularizer",
    "activity_regularizer",
    "kernel_constraint",
    "bias_constraint",
    "quantization_config",
    "input_axes",
    "output_axes",
    "max_value",
    "renorm_clipping",
    "mean",
    "variance",
    "beta_regularizer",
    "gamma_regularizer",
    "beta_constraint",
    "gamma_constraint",
];
