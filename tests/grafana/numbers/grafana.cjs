// Grafana's own code, asked by the tests of the boards. It reads JSON on standard input and answers in JSON:
//   {"numbers": [{"unit", "decimals", "value"}]}        -> the texts that a panel would show
//   {"tables": [{"transformations", "frames"}]}         -> for each table its columns: [header, values]
globalThis.navigator = { language: "en-US", languages: ["en-US"] }; // date formats ask the browser for its language
const grafana = require("@grafana/data");
globalThis.window = {}; // transformations look there for a dashboard; set any sooner, libraries take this for a browser

const theme = grafana.createTheme();
const known = new Map(Object.values(grafana.standardTransformers).map((each) => [each.id, each]));
grafana.standardTransformersRegistry.setInit(() =>
  [...known.values()].map((each) => ({ id: each.id, name: each.name, transformation: async () => each })),
);

function shown({ unit, decimals, value }) {
  const config = decimals === null ? { unit } : { unit, decimals };
  const field = { name: "value", type: grafana.FieldType.number, config, values: [value] };
  const display = grafana.getDisplayProcessor({ field, theme, timeZone: "utc" });
  return grafana.formattedValueToString(display(value));
}

function transformed({ transformations, frames }) {
  const made = frames.map((frame) => grafana.toDataFrame(frame));
  return new Promise((resolve, reject) => {
    grafana.transformDataFrame(transformations, made).subscribe({
      next: (found) =>
        resolve(found.flatMap((frame) => frame.fields.map((field) => [grafana.getFieldDisplayName(field, frame, found), field.values]))),
      error: reject,
    });
  });
}

async function main() {
  const asked = JSON.parse(require("fs").readFileSync(0, "utf-8"));
  const answer = asked.numbers ? asked.numbers.map(shown) : await Promise.all(asked.tables.map(transformed));
  process.stdout.write(JSON.stringify(answer));
}

main();
