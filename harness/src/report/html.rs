//! One self-contained page: styles and charts are inline, it has no script and fetches nothing.

use minijinja::{Environment, context};

use super::{chart, tables, text};
use crate::result::Results;

const PAGE: &str = include_str!("page.html");

pub(super) fn render(results: &Results) -> String {
    let charts = chart::all(results).into_iter().map(|chart| {
        context! { title => chart.title, caption => chart.caption, svg => chart.svg }
    });
    let keys = chart::keys(results)
        .into_iter()
        .map(|key| context! { colour => key.colour, label => key.label });
    let tables = tables::all(results).into_iter().map(|table| {
        let columns = table
            .columns
            .iter()
            .map(|column| context! { name => &column.name, right => column.right });
        context! { title => table.title, columns => columns.collect::<Vec<_>>(), rows => table.rows }
    });
    let tools = results
        .runs
        .iter()
        .any(|run| run.tool != crate::result::Tool::Siskin);
    let mut environment = Environment::new();
    // The file name's extension turns escaping on.
    environment
        .add_template("page.html", PAGE)
        .expect("the page is a template");
    let page = environment.get_template("page.html").expect("just added");
    let rendered = page.render(context! {
        head => text::head(results),
        command => &results.command,
        isa => results.machine.isa.join(" "),
        keys => keys.collect::<Vec<_>>(),
        peer => tools,
        charts => charts.collect::<Vec<_>>(),
        tables => tables.collect::<Vec<_>>(),
        notes => &results.notes,
    });
    rendered.expect("the page asks for nothing else")
}
