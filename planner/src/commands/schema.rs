//! `planner schema`: the JSON Schemas that editors check the files with, and programs what they read.

use lanes::SchemaOf;

use super::{Answer, Console};
use crate::{
    cli::{Schema, SchemaArgs},
    exit_code::Exit,
};

pub(super) fn run(console: &Console, args: &SchemaArgs) -> Answer {
    let schema = match args.of {
        Schema::Plan => plans::plan_schema(),
        Schema::Lanes => lanes::schema(SchemaOf::Lanes).to_value(),
        Schema::Catalog => lanes::schema(SchemaOf::Catalog).to_value(),
        Schema::Passed => plans::passed_schema(),
        Schema::Invariants => lanes::schema(SchemaOf::Invariants).to_value(),
        Schema::Scenario => lanes::schema(SchemaOf::Scenario).to_value(),
        Schema::Diff => crate::diff::schema(),
    };
    let mut text = serde_json::to_string_pretty(&schema).expect("a schema is JSON");
    text.push('\n');
    console.write(text.as_bytes())?;
    Ok(Exit::Done)
}
