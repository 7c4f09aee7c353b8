//! Pages: HTML that needs no other file, on light ground and dark, on a phone, on paper.

use crate::plot::{escape, style};

const STYLE: &str = ":root{color-scheme:light dark}\
*{box-sizing:border-box}\
body{font:16px/1.55 system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif;max-width:1120px;\
margin:0 auto;padding:1.4rem 1rem 3rem;color:#1f2328;background:#fff;overflow-wrap:break-word}\
h1{font-size:1.65rem;line-height:1.25;margin:.2em 0 .5em}\
h2{font-size:1.2rem;line-height:1.3;margin:2.6em 0 .6em;padding-bottom:.25em;border-bottom:1px solid #d5dae0;\
break-after:avoid}\
p{max-width:46rem;margin:.6em 0}\
.muted,small,footer,li{color:#59636e}\
small{font-size:.86em;white-space:nowrap}\
table{border-collapse:collapse;width:100%;margin:.8em 0 1.2em;font-size:.86rem;font-variant-numeric:tabular-nums}\
th,td{padding:.36em .6em;text-align:right;vertical-align:top;border-bottom:1px solid #e3e7eb}\
th{border-bottom:2px solid #9aa4ae;font-weight:600;vertical-align:bottom}\
tr{break-inside:avoid}\
.words{text-align:left}\
.yes{color:#00694e;font-weight:600}\
.no{color:#b3200c;font-weight:700}\
.banner{border-left:4px solid #c4232e;background:#fdeeee;color:#7d1117;padding:.6em .9em;max-width:none}\
.quick{border-left:4px solid #9a6b00;background:#fff6de;color:#5d4100;padding:.6em .9em;max-width:none}\
.plots{columns:27rem 2;column-gap:1.2rem}.plots figure{margin-bottom:1.2rem;max-width:44rem}\
svg{display:block;width:100%;height:auto;border:1px solid #e3e7eb;border-radius:6px}\
ul{font-size:.82rem;padding-left:1.1em;margin:1em 0}li{margin:.25em 0}\
code{font:.92em/1.4 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;background:#f3f5f7;padding:.1em .3em;\
border-radius:4px;overflow-wrap:anywhere}code span{display:inline-block;max-width:100%}\
pre{font:.8rem/1.45 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;background:#f6f8fa;padding:.9em;\
border-radius:6px;white-space:pre-wrap;overflow-wrap:anywhere}\
footer{font-size:.82rem;margin-top:2.5em}\
@media screen and (max-width:640px){body{padding:1rem .75rem 2rem}h1{font-size:1.35rem}\
.cards thead{display:none}.cards,.cards tbody{display:block}\
.cards tr{display:block;padding:.5em 0;border-bottom:1px solid #e3e7eb}\
.cards td{display:flex;justify-content:space-between;gap:1em;border:0;padding:.08em 0;text-align:right}\
.cards td::before{content:attr(data-label);color:#59636e;font-weight:400;text-align:left;flex:none}\
.cards td:first-child{font-weight:600}.cards td.words:first-child{text-align:left}.cards td.words:first-child::before{content:none}\
.pairs tr{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));column-gap:1em}.pairs td::before{flex:0 1 auto}.pairs td:first-child{grid-column:1/3}\
.columns th,.columns td{padding:.3em .3em}.columns{font-size:.78rem}small{white-space:normal}}\
@media screen and (prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}\
.muted,small,footer,li{color:#9da7b3}h2,th,td,.cards tr,svg{border-color:#323a44}th{border-bottom-color:#5d6772}\
.yes{color:#4ad6a7}.no{color:#ff8f85}code,pre{background:#171d25}\
.banner{background:#3a1518;color:#ffc9c5;border-color:#ff7b72}.quick{background:#33280a;color:#f6dfa4;border-color:#f2bf45}\
.cards td::before{color:#9da7b3}}\
@media print{:root{color-scheme:light}@page{margin:14mm}body{font-size:10pt;max-width:none;padding:0}\
table{font-size:8pt}th,td{padding:.25em .4em}.plots{columns:2;column-gap:.6rem}.plots figure{margin-bottom:.6rem}h2{margin-top:1.6em}\
code,pre,.banner,.quick{background:none}}";

/// A page with this heading; `body` is HTML.
pub fn page(title: &str, body: &str) -> String {
    let (title, plots, inside) = (escape(title), style::plots(), style::PAGE);
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <style>{STYLE}{plots}{inside}</style></head><body>\n<h1>{title}</h1>\n{body}</body></html>\n"
    )
}

/// Markdown's marks of code become HTML's; blank lines part paragraphs.
pub fn paragraphs(text: &str) -> String {
    let paragraph = |text: &str| format!("<p>{}</p>\n", marked(text));
    text.split("\n\n").filter(|text| !text.trim().is_empty()).map(paragraph).collect()
}

/// An argument goes to the next line as a whole: its hyphens are no places to break.
fn unbroken(word: &str) -> String {
    match word.contains('-') {
        true => format!("<span>{}</span>", escape(word)),
        false => escape(word),
    }
}

/// Markdown's marks of code become HTML's.
pub fn marked(text: &str) -> String {
    // A mark without an end is no mark.
    let pairs = text.matches('`').count() / 2 * 2;
    let mut html = String::new();
    for (number, part) in text.splitn(pairs + 1, '`').enumerate() {
        html += &match number % 2 {
            0 => escape(part).replace('`', "&#96;"),
            _ => format!("<code>{}</code>", part.split(' ').map(unbroken).collect::<Vec<String>>().join(" ")),
        };
    }
    html
}
