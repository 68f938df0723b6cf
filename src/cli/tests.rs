use std::collections::BTreeMap;
use std::sync::Mutex;

use super::*;
