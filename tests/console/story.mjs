// From a key to the rejects of a finished run, as somebody with nothing but a browser does it.
//
// usage: node story.mjs ORIGIN ADMIN_TOKEN_FILE API_KEY LIST SOURCE_FOLDER SHOTS_FOLDER
// The key is also in the control-plane's variable SEGUE_KLAVIYO_KEY_SHOP and in the file `shop` of its folder of keys.
// In the source folder lie `first.csv`, which takes some seconds, `later-1.csv` and so on, `bad.csv` and `hostile.csv`.

import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { launch, Visitor } from "./browser.mjs";

const [origin, tokenFile, apiKey, list, source, shots] = process.argv.slice(2);
const token = readFileSync(tokenFile, "utf8").trim();
const CONNECTION = "Klaviyo, Europe";
const SOURCE = "Shop, every day";
const EXPORT = "Newsletter, everybody";
/** Where the source is, below the source folder. */
const shop = join(source, "shop/daily");
/** Whoever is called so wants to be more than text. */
const HOSTILE = `<img src=x onerror=alert(1)>"'&`;

const browser = await launch();
try {
  const ada = await Visitor.come(browser, origin, shots);
  await signIn(ada);
  await connect(ada);
  await moveTheKey(ada);
  await nameSource(ada);
  await describeExport(ada);
  const run = await runAndWatch(ada);
  await readRejects(ada, run);
  await runAgain(ada);
  await guarded(ada);
  await copies(ada);
  await rotateKeys(ada);
  await schedule(ada);
  const viewer = await makeToken(ada);
  await hostileNames(ada);
  await otherPages(ada);
  await removeConnection(ada);
  const victor = await Visitor.come(browser, origin, shots);
  await onlyLook(victor, viewer, run);
  await takeBack(ada, victor);
  await signOut(ada);
  const keys = await Visitor.come(browser, origin, shots);
  await withoutAMouse(keys);

  const faults = [ada, victor, keys].flatMap((visitor) => visitor.faults);
  assert.deepEqual(faults, [], `\n${faults.join("\n")}`);
  assert.ok(ada.seen.length >= 20, `only ${ada.seen.length} pages were looked at`);
  console.log(JSON.stringify({ pages: [...ada.seen, ...victor.seen, ...keys.seen], run }));
} finally {
  await browser.close();
}

async function title(page, words) {
  await page.getByRole("heading", { level: 1, name: words, exact: true }).waitFor();
}

async function signIn(ada) {
  const { page } = ada;
  await page.goto("/runs?state=failed");
  await title(page, "Sign in");
  await ada.look("sign-in");
  await page.getByLabel("API token").fill("segue_of_nobody");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByText("do not know this token").waitFor();
  await ada.look("sign-in-refused");
  await page.getByLabel("API token").fill(token);
  await page.getByRole("button", { name: "Sign in" }).click();
  // Where one wanted to go.
  await title(page, "Runs");
  const cookies = await ada.context.cookies();
  const kept = cookies.find((cookie) => cookie.name.startsWith("segue-") && !cookie.name.includes("visitor"));
  assert.ok(kept.httpOnly && kept.sameSite === "Strict", "the sign-in is open to scripts or to other sites");
  assert.ok(!decodeURIComponent(kept.value).includes(token), "the token stands in the cookie as it is");
  await page.getByRole("link", { name: "Overview" }).click();
  await title(page, "Overview");
  await page.getByText("Three steps to the first run").waitFor();
  await ada.look("overview-first");
}

async function connect(ada) {
  const { page } = ada;
  await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Connections" }).click();
  await page.getByText("There is no connection yet").waitFor();
  await ada.look("connections-none");
  await page.getByRole("link", { name: "Add a connection" }).click();
  await title(page, "Add a connection");
  await ada.look("connection-new");
  await page.getByRole("button", { name: "Connect and save" }).click();
  await page.getByText("This was not saved yet").waitFor();
  const summary = page.getByRole("alert");
  assert.equal(await summary.getByRole("link").count(), 3);
  assert.ok(await summary.evaluate((it) => it === document.activeElement), "what is wrong is not in focus");
  await ada.look("connection-new-refused");
  await page.getByLabel("Display name").fill(CONNECTION);
  await page.getByLabel("Private API key").fill("pk_of_nobody");
  await page.getByLabel("Contributors too").check();
  await page.getByLabel("Only for these lists").fill(list);
  await page.getByLabel("I agree").check();
  await page.getByLabel("Who agrees").fill("Ada Example");
  await page.getByRole("button", { name: "Connect and save" }).click();
  // Klaviyo does not know that key: it has to be typed again, and nothing else.
  await page.locator("#api_key-wrong").waitFor();
  assert.equal(await page.getByLabel("Private API key").inputValue(), "");
  assert.equal(await page.getByLabel("Display name").inputValue(), CONNECTION);
  await page.getByLabel("Private API key").fill(apiKey);
  await page.getByRole("button", { name: "Connect and save" }).click();
  await title(page, CONNECTION);
  await page.getByText("Klaviyo has accepted the key").waitFor();
  await page.getByRole("button", { name: "Verify" }).click();
  await page.getByText("Klaviyo accepts the key").waitFor();
  await page.getByRole("row", { name: /lists:read/ }).getByText("Granted").waitFor();
  await page.getByRole("row", { name: /^import/ }).first().waitFor();
  assert.ok(!(await page.content()).includes(apiKey), "the key is on the page");
  await ada.look("connection");
}

/** To where the operator keeps it, and back. What is wrong stands at the input that was chosen. */
async function moveTheKey(ada) {
  const { page } = ada;
  const edit = async (place) => {
    await page.getByRole("link", { name: "Edit", exact: true }).click();
    await title(page, "Edit a connection");
    assert.ok(await page.getByLabel("It stays as it is").isChecked());
    await page.getByLabel(place).check();
  };
  const save = async (input, text) => {
    await page.getByLabel(input).fill(text);
    await page.getByRole("button", { name: "Save" }).click();
  };
  await edit("A file of the control-plane");
  await save("Path of the file", "");
  await page.locator("#key_file-wrong").getByText("Name the file").waitFor();
  await save("Path of the file", "no-such-key");
  await page.locator("#key_file-wrong").getByText("cannot be had from the file no-such-key").waitFor();
  assert.equal(await page.getByLabel("Path of the file").inputValue(), "no-such-key");
  assert.ok(await page.getByLabel("Name of the variable").isHidden());
  await ada.look("connection-edit-refused");
  await save("Path of the file", "shop");
  await page.getByText("In the file shop of the control-plane").waitFor();
  await edit("A variable of the control-plane");
  await save("Name of the variable", "PATH");
  await page.locator("#key_env-wrong").getByText("not for keys").waitFor();
  await save("Name of the variable", "SEGUE_KLAVIYO_KEY_SHOP");
  await page.getByText("In the variable SEGUE_KLAVIYO_KEY_SHOP of the control-plane").waitFor();
  await edit("Pasted here");
  await save("New private API key", "pk_of_nobody");
  await page.locator("#api_key-wrong").waitFor();
  await save("New private API key", apiKey);
  await page.getByText("Sealed; nobody sees it again").waitFor();
}

/** A folder gets a name, and somebody looks what lies there. */
async function nameSource(ada) {
  const { page } = ada;
  mkdirSync(join(shop, "old"), { recursive: true });
  copyFileSync(join(source, "bad.csv"), join(shop, "bad.csv"));
  await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Sources" }).click();
  await page.getByText("There is no source yet").waitFor();
  await ada.look("sources-none");
  await page.getByRole("link", { name: "Add a source" }).click();
  await title(page, "Add a source");
  await page.getByLabel("Display name").fill(SOURCE);
  await page.getByLabel("Folder").fill("shop/*");
  await page.getByRole("button", { name: "Save" }).click();
  await page.locator("#folder-wrong").getByText("globs").waitFor();
  await ada.look("source-new-refused");
  assert.equal(await page.getByLabel("Display name").inputValue(), SOURCE);
  await page.getByLabel("Folder").fill("shop");
  await page.getByRole("button", { name: "Save" }).click();
  await title(page, SOURCE);
  await page.getByText("The source is saved").waitFor();
  await page.getByRole("link", { name: "daily/" }).waitFor();
  await page.getByRole("link", { name: "Edit" }).click();
  await title(page, "Edit a source");
  assert.equal(await page.getByLabel("Folder").inputValue(), "shop");
  await page.getByLabel("Folder").fill("shop/daily");
  await page.getByRole("button", { name: "Save" }).click();
  await title(page, SOURCE);
  await page.getByRole("link", { name: "old/" }).click();
  await page.getByText("Nothing lies here").waitFor();
  await page.locator("#files + .crumb").getByRole("link", { name: SOURCE }).click();
  const file = page.getByRole("row", { name: /bad\.csv/ });
  assert.equal(await file.locator("[data-label=Rows]").innerText(), "3");
  await file.getByRole("link").click();
  await page.getByRole("heading", { name: "Columns of bad.csv" }).waitFor();
  await page.getByRole("row", { name: /loyalty_tier/ }).getByText("properties.loyalty_tier").waitFor();
  assert.ok(!(await page.content()).includes("ada@one.example"), "a cell is on the page");
  await ada.look("source");
  await page.goto("/sources");
  await ada.look("sources");
  await page.getByRole("link", { name: "The source folder itself" }).click();
  await page.getByRole("link", { name: "shop/" }).waitFor();
  await ada.look("source-folder");
}

async function describeExport(ada) {
  const { page } = ada;
  await page.goto("/connections");
  await page.getByRole("link", { name: CONNECTION, exact: true }).click();
  await page.getByRole("link", { name: "Add an export over this connection" }).click();
  await title(page, "Add an export");
  const chosen = await page.getByLabel("Connection").locator("option:checked").innerText();
  assert.ok(chosen.startsWith(`${CONNECTION} (`), chosen);
  await page.getByLabel("Display name").fill(EXPORT);
  await page.getByLabel("Klaviyo list id").fill("not a list");
  await page.getByLabel("Source", { exact: true }).selectOption({ label: `${SOURCE} (shop/daily)` });
  await page.getByLabel("Segments").fill("people.csv");
  await page.getByLabel("Attribute of rule 1").fill("properties.loyalty");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("A rule needs both").first().waitFor();
  await page.getByLabel("Column of rule 1").fill("loyalty_tier");
  await page.getByRole("button", { name: "Save" }).click();
  await page.locator("#list_id-wrong").waitFor();
  await ada.look("export-new-refused");
  await pickList(ada);
  // A schedule of its own is only asked for if it is to have one.
  assert.ok(await page.getByLabel("Time zone").isHidden());
  await page.getByLabel("by a schedule of its own").check();
  await page.getByLabel("On some days of the week").check();
  await page.getByLabel("Monday").check();
  await page.getByLabel("Thursday").check();
  await page.getByLabel("Time 1").fill("06:30");
  await page.getByLabel("Time zone").fill("Europe/Berlin");
  await ada.look("export-new");
  await page.getByRole("button", { name: "Save" }).click();
  await title(page, EXPORT);
  await page.getByText("Every Monday and Thursday at 06:30 (Europe/Berlin).").waitFor();
  await page.getByText("It has not run yet").waitFor();
  // Nobody can tell what columns become of a file that is not there.
  await page.getByText("there is no such file").waitFor();
  await ada.look("export-before-its-first-run");
  copyFileSync(join(source, "bad.csv"), join(shop, "people.csv"));
  await page.getByRole("button", { name: "Settle columns anew" }).click();
  await page.getByText("The columns are settled anew").waitFor();
  const column = page.getByRole("table", { name: "Columns that are sent" }).getByRole("row", { name: /loyalty_tier/ });
  await column.getByText("properties.loyalty", { exact: true }).waitFor();
  await ada.look("export-with-columns");
  await page.getByRole("link", { name: "Preview" }).click();
  await title(page, "Preview");
  await page.getByText("What a run would send now.").waitFor();
  await page.getByRole("alert").getByText("max_rejects: 2 of 3 rows").waitFor();
  await page.getByRole("region", { name: "Profile 1", exact: true }).getByText('"email":').waitFor();
  await page.getByRole("row", { name: /email_invalid/ }).first().waitFor();
  await ada.look("export-preview");
  await page.getByRole("link", { name: EXPORT }).click();
  await page.getByRole("link", { name: "Edit" }).click();
  await title(page, "Edit an export");
  assert.ok(await page.getByLabel("Thursday").isChecked());
  assert.equal(await page.getByLabel("Column of rule 1").inputValue(), "loyalty_tier");
  const sourced = await page.getByLabel("Source", { exact: true }).locator("option:checked").innerText();
  assert.equal(sourced, `${SOURCE} (shop/daily)`);
  await page.getByLabel("Send nothing if there are more profiles than").fill("1,000,000");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("more than 1,000,000 profiles").waitFor();
  await page.getByRole("link", { name: SOURCE }).click();
  await page.getByRole("link", { name: "Remove" }).click();
  await title(page, "Remove this source?");
  // An export uses it: there is nothing to press.
  await page.getByRole("link", { name: EXPORT }).waitFor();
  assert.equal(await page.getByRole("button", { name: /^Remove/ }).count(), 0);
  await ada.look("source-remove");
  await page.getByRole("link", { name: EXPORT }).click();
  await title(page, EXPORT);
}

/** By its name, as nobody knows ids. One list starts a flow for everybody who joins it: that is asked about. */
async function pickList(ada) {
  const { page } = ada;
  await page.getByRole("button", { name: "Choose from the lists" }).click();
  await page.getByLabel("Only lists with this in their name").fill("OTHER");
  await page.getByRole("button", { name: "Filter the lists" }).click();
  assert.equal(await page.locator("[name=list_pick]").count(), 1);
  await page.getByLabel("Others").check();
  await page.getByRole("button", { name: "Use this list" }).click();
  await page.getByText("It starts live flows").waitFor();
  await ada.look("export-list-with-a-flow");
  await page.getByRole("button", { name: "Save" }).click();
  await page.locator("#allow_live_flows-wrong").getByText("Welcome series").waitFor();
  await page.getByRole("button", { name: "Choose from the lists" }).click();
  await page.getByLabel("Or make a new list of this name").fill("Segue demo");
  await page.getByRole("button", { name: "Make the list" }).click();
  // The account has one of this name already.
  await page.getByRole("alert").first().waitFor();
  await page.getByLabel("Segue demo", { exact: false }).and(page.getByRole("radio")).check();
  await ada.look("export-list-picker");
  await page.getByRole("button", { name: "Use this list" }).click();
  await page.getByText("“Segue demo” is chosen").waitFor();
  assert.equal(await page.getByLabel("Klaviyo list id").inputValue(), list);
}

async function runAndWatch(ada) {
  const { page } = ada;
  copyFileSync(join(source, "first.csv"), join(shop, "people.csv"));
  // It has more columns than the file before, and none is sent unless somebody wants it.
  await page.getByRole("button", { name: "Settle columns anew" }).click();
  await page.getByRole("row", { name: /lifetime_value/ }).getByText("number").waitFor();
  await page.getByRole("button", { name: "Run now" }).click();
  await title(page, `Run of ${EXPORT}`);
  const address = new URL(page.url()).pathname;
  // Without the page being loaded again: the same element holds a growing number.
  await page.evaluate(() => (window.isTheSamePage = true));
  await page.waitForFunction(() => {
    const bar = document.querySelector("#live progress");
    return bar !== null && bar.value > 0 && bar.value < 1000 && document.querySelector(".numbers").innerText.includes("profiles/s");
  });
  assert.ok(await page.evaluate(() => window.isTheSamePage), "the page was loaded again");
  await page.waitForFunction(() => /Running: \d+ % of the rows/.test(document.getElementById("said").textContent));
  assert.ok(await page.getByRole("link", { name: "Cancel the run" }).isVisible());
  await ada.shoot("run-under-way-light");
  const overview = await ada.context.newPage();
  await overview.goto("/");
  await overview.getByRole("heading", { name: "Under way" }).waitFor();
  await overview.screenshot({ path: join(shots, "overview-under-way-light.png"), fullPage: true });
  await overview.close();
  await ended(page);
  await ada.look("run");
  return address;
}

async function ended(page) {
  await page.locator("#live:not([data-live])").waitFor();
  const rows = await page.locator("table.account tbody td.number:not(.share)").allInnerTexts();
  const sum = rows.map((text) => Number(text.replaceAll(",", ""))).reduce((sum, rows) => sum + rows, 0);
  const read = await page.locator("table.account tfoot td").first().innerText();
  assert.equal(sum, Number(read.replaceAll(",", "")), "the account does not add up");
  return { rows, read: sum };
}

async function readRejects(ada, run) {
  const { page } = ada;
  await page.getByRole("link", { name: "Read the rejected rows" }).click();
  await title(page, "Rejected rows");
  await ada.look("rejects");
  const choices = await page.getByLabel("Reason").locator("option").allInnerTexts();
  const [, code, rows] = choices.map((text) => text.match(/^(\w+) \(([\d,]+)\)$/)).find((match) => match !== null);
  await page.getByLabel("Reason").selectOption(code);
  await page.getByRole("button", { name: "Filter" }).click();
  await page.waitForURL(/reason=/);
  const shown = await page.locator("tbody code").allInnerTexts();
  assert.ok(shown.length > 0 && shown.every((found) => found === code), `${shown} is not only ${code}`);
  assert.equal(shown.length, Math.min(50, Number(rows.replaceAll(",", ""))));
  await ada.look("rejects-filtered");
  await page.goto(`${run}/rejects`);
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("link", { name: "Download as CSV" }).click(),
  ]);
  assert.match(download.suggestedFilename(), /^rejects-run_.*\.csv$/);
  const lines = readFileSync(await download.path(), "utf8");
  assert.ok(lines.startsWith("\ufeffsource,row,identifier,field,reason,detail\n"), lines.slice(0, 80));
  assert.ok(lines.split("\n").length > 10);
  assert.doesNotMatch(lines, /(^|,)"?[=@]/m, "a cell that a spreadsheet would run");
  await page.goto(`${run}/rejects?kind=warnings`);
  await title(page, "Warnings");
  await ada.look("warnings");
}

async function runAgain(ada) {
  const { page } = ada;
  for (const file of readdirSync(source).filter((name) => name.startsWith("later-")).sort()) {
    copyFileSync(join(source, file), join(shop, "people.csv"));
    await page.goto("/exports");
    await page.getByRole("button", { name: `Run now ${EXPORT}` }).click();
    await title(page, `Run of ${EXPORT}`);
    await ended(page);
  }
  await page.getByRole("link", { name: "The export" }).click();
  await title(page, EXPORT);
  const runs = readdirSync(source).filter((name) => name.startsWith("later-")).length + 1;
  await page.getByText(`${runs} runs:`).waitFor();
  await ada.look("export");
  await page.getByRole("link", { name: "All runs of this export" }).click();
  await title(page, "Runs");
  await page.getByLabel("State").selectOption("completed_with_rejects");
  await page.getByRole("button", { name: "Filter" }).click();
  await page.waitForURL(/state=/);
  assert.ok((await page.locator("tbody tr").count()) > 0);
  await ada.look("runs");
}

/** What grows or shrinks too much is not sent, unless somebody means it, once. */
async function guarded(ada) {
  const { page } = ada;
  copyFileSync(join(source, "bad.csv"), join(shop, "people.csv"));
  await page.goto("/exports");
  await page.getByRole("link", { name: EXPORT, exact: true }).click();
  await page.getByText("fewer profiles than in the last good run by over 50 %").waitFor();
  // The file lacks columns that were settled: a run would say so and send nothing.
  await page.getByRole("link", { name: "Preview" }).click();
  await page.getByText("settle the columns of the export anew").waitFor();
  await ada.look("export-preview-refused");
  await page.goBack();
  await page.getByRole("button", { name: "Settle columns anew" }).click();
  await page.getByText("The columns are settled anew").waitFor();
  await page.getByLabel("Only the first rows").fill("1,000");
  await page.getByRole("button", { name: "Run a trial" }).click();
  await title(page, `Run of ${EXPORT}`);
  await ended(page);
  await page.reload();
  // Two rows of three are no addresses.
  await page.getByRole("alert").getByText("too_many_rejects").waitFor();
  await page.getByText("the first 1,000 rows").waitFor();
  await ada.look("run-stopped-by-a-guard");
  await page.getByRole("button", { name: "Run it once without these guards" }).click();
  await title(page, `Run of ${EXPORT}`);
  await ended(page);
  await page.getByText("Overridden for this run").waitFor();
}

/** Buttons of exports that are rarely pressed. */
async function copies(ada) {
  const { page } = ada;
  await page.goto("/exports");
  await page.getByRole("link", { name: EXPORT, exact: true }).click();
  await page.getByRole("button", { name: "Create duplicate" }).click();
  await page.getByText("This is the copy").waitFor();
  await page.getByText("Disabled", { exact: true }).waitFor();
  assert.equal(await page.getByRole("button", { name: "Run now" }).count(), 0);
  await page.getByRole("button", { name: "Enable" }).click();
  await page.getByRole("button", { name: "Run now" }).waitFor();
  await page.getByRole("button", { name: "Disable" }).click();
  await page.getByText("The export is disabled").waitFor();
  await page.getByRole("link", { name: "Remove" }).click();
  await page.getByRole("button", { name: /^Remove/ }).click();
  await page.getByText("The export is removed").waitFor();
  await page.getByRole("button", { name: "Run all" }).click();
  await title(page, "Run all");
  const started = page.getByRole("link", { name: "Its run is started" });
  assert.equal(await started.count(), 1, "one export runs by a schedule");
  await ada.look("run-all");
  await started.click();
  await title(page, `Run of ${EXPORT}`);
  await ended(page);
}

async function rotateKeys(ada) {
  const { page } = ada;
  await page.goto("/connections");
  await page.getByRole("link", { name: "Seal all keys anew" }).click();
  await title(page, "Seal all keys anew");
  await page.getByRole("button", { name: "Seal all keys anew" }).click();
  await page.getByText(/1 key was already sealed with the present master key/).waitFor();
  await ada.look("keys");
}

async function schedule(ada) {
  const { page } = ada;
  await page.getByRole("link", { name: "Schedule" }).click();
  await title(page, "Schedule of the system");
  await ada.look("schedule-off");
  await page.getByLabel("By a crontab line").check();
  await page.getByLabel("Crontab line", { exact: true }).fill("61 * * * *");
  await page.getByLabel("Time zone").fill("Europe/Berlin");
  await page.getByRole("button", { name: "Preview" }).click();
  await page.locator("#cron-wrong").waitFor();
  await page.getByLabel("Every day").check();
  await page.getByLabel("Time 1").fill("03:00");
  await page.getByLabel("Time 2").fill("15:00");
  await page.getByRole("button", { name: "Preview" }).click();
  await page.getByText("nothing is saved yet").waitFor();
  assert.equal(await page.locator(".times-list li").count(), 6);
  await page.getByRole("button", { name: "Save the schedule" }).click();
  await page.getByText("Every day at 03:00 and 15:00 (Europe/Berlin).").waitFor();
  await ada.look("schedule");
}

async function makeToken(ada) {
  const { page } = ada;
  await page.getByRole("link", { name: "Tokens" }).click();
  await title(page, "Tokens");
  await page.getByRole("button", { name: "Make the token" }).click();
  await page.locator("#display_name-wrong").waitFor();
  await page.getByLabel("Display name").fill("Victor, who looks");
  await page.getByLabel("Viewer").check();
  await page.getByRole("button", { name: "Make the token" }).click();
  await page.getByText("It is shown this once").waitFor();
  const secret = await page.locator("#secret").innerText();
  await ada.look("token-made");
  await page.getByRole("link", { name: "I have copied it" }).click();
  await page.locator("#secret").waitFor({ state: "detached" });
  assert.ok(!(await page.content()).includes(secret), "the secret is shown twice");
  await ada.look("tokens");
  return secret;
}

async function hostileNames(ada) {
  const { page } = ada;
  copyFileSync(join(source, "hostile.csv"), join(source, "people.csv"));
  await page.goto("/exports/new");
  await page.getByLabel("Connection").selectOption({ index: 1 });
  await page.getByLabel("Display name").fill(HOSTILE);
  await page.getByLabel("Klaviyo list id").fill(list);
  await page.getByLabel("Segments").fill("people.csv");
  await page.getByLabel("never: only when").check();
  // Two rows of three are no addresses: that is what it is about.
  await page.getByLabel("Largest share of rejected rows").fill("");
  await page.getByRole("button", { name: "Save" }).click();
  await title(page, HOSTILE);
  await page.getByRole("button", { name: "Run now" }).click();
  await title(page, `Run of ${HOSTILE}`);
  await ended(page);
  await page.getByRole("link", { name: "Read the rejected rows" }).click();
  await page.locator(".who-cell").getByText("<script>", { exact: false }).first().waitFor();
  assert.equal(await page.locator("main img, main script").count(), 0);
  for (const place of ["/", "/exports", "/runs"]) {
    await page.goto(place);
    assert.equal(await page.locator("main img, main script").count(), 0, place);
  }
}

async function otherPages(ada) {
  const { page } = ada;
  await page.goto("/");
  await title(page, "Overview");
  await ada.look("overview");
  await page.goto("/exports");
  await ada.look("exports");
  await page.goto("/connections");
  await ada.look("connections");
  await page.goto("/audit");
  await page.getByText("export.create").first().waitFor();
  await page.locator("details").first().locator("summary").click();
  await page.getByRole("button", { name: "Verify all entries" }).click();
  await page.getByText("are as they were written").waitFor();
  await ada.look("audit");
  await page.goto("/jobs");
  await page.getByText("There is none").waitFor();
  await ada.look("jobs");
  // Whatever a form says: it is not of this sign-in.
  const answer = await page.request.post("/schedule", {
    form: { csrf: "0".repeat(32), action: "off" },
    headers: { origin },
  });
  assert.equal(answer.status(), 403);
  const foreign = await page.request.post("/sign-out", { form: {}, headers: { origin: "https://evil.example" } });
  assert.equal(foreign.status(), 403);
  await page.goto("/schedule");
  await page.getByText("Every day at 03:00 and 15:00").waitFor();
  const policy = (await page.request.get("/schedule")).headers();
  assert.match(policy["content-security-policy"], /default-src 'none'.*frame-ancestors 'none'/);
  assert.equal(policy["cache-control"], "no-store");
}

async function removeConnection(ada) {
  const { page } = ada;
  await page.goto("/connections");
  await page.getByRole("link", { name: CONNECTION, exact: true }).click();
  await page.getByRole("link", { name: "Remove" }).click();
  await title(page, "Remove this connection?");
  await page.getByText("What stays in Klaviyo").waitFor();
  // Exports use it: whoever goes on is told what becomes of them.
  await ada.look("connection-remove");
  await page.getByRole("button", { name: "Remove it and detach its exports" }).click();
  await page.getByText("The connection is removed, and its key with it").waitFor();
  await page.goto("/exports");
  await page.getByRole("row", { name: new RegExp(EXPORT) }).getByText("No connection").waitFor();
}

async function onlyLook(victor, secret, run) {
  const { page } = victor;
  await page.goto("/");
  await page.getByLabel("API token").fill(secret);
  await page.getByRole("button", { name: "Sign in" }).click();
  await title(page, "Overview");
  await page.getByText("viewer", { exact: true }).waitFor();
  const links = await page.getByRole("navigation", { name: "Main" }).getByRole("link").allInnerTexts();
  assert.deepEqual(links, ["Overview", "Exports", "Runs", "Sources", "Schedule", "Dead jobs"]);
  await page.goto("/exports");
  assert.equal(await page.locator("main button, main a.button").count(), 0, "a viewer has buttons");
  await page.goto("/sources");
  await page.getByRole("link", { name: SOURCE }).click();
  await title(page, SOURCE);
  assert.equal(await page.locator("main button, main a.button, #files").count(), 0, "a viewer sees files");
  await page.goto(run);
  await title(page, `Run of ${EXPORT}`);
  await page.getByText("a contributor can read them").waitFor();
  await victor.look("run-of-a-viewer");
  await page.goto(`${run}/rejects`);
  await title(page, "Your role does not allow this");
  await page.getByRole("alert").getByText("contributor").waitFor();
  await victor.look("not-allowed");
}

async function takeBack(ada, victor) {
  const { page } = ada;
  await page.goto("/tokens");
  await page.getByRole("link", { name: "Take back Victor, who looks" }).click();
  await title(page, "Take this token back?");
  await page.getByRole("button", { name: "Take Victor, who looks back" }).click();
  await page.getByText("Taken back", { exact: true }).waitFor();
  await victor.page.goto("/runs");
  await title(victor.page, "Sign in");
  await victor.page.getByText("Your sign-in has ended").waitFor();
}

async function signOut(ada) {
  const { page } = ada;
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByText("You are signed out").waitFor();
  await page.goto("/exports");
  await title(page, "Sign in");
}

/** Tab, typing, the space bar and Enter. */
async function withoutAMouse(keys) {
  const { page } = keys;
  const press = (...all) => all.reduce((before, key) => before.then(() => page.keyboard.press(key)), Promise.resolve());
  await page.goto("/schedule");
  await title(page, "Sign in");
  await page.keyboard.type(token);
  await press("Enter");
  await title(page, "Schedule of the system");
  await press("Tab");
  const first = await page.evaluate(() => document.activeElement.textContent);
  assert.equal(first, "Skip to the content");
  await press("Enter");
  await tabTo(page, "[name=kind]");
  // Among radio buttons arrows choose.
  await press("ArrowDown", "ArrowDown");
  assert.ok(await page.getByLabel("By a crontab line").isChecked());
  await tabTo(page, "#cron");
  await page.keyboard.type("0 5 * * SUN");
  await tabTo(page, "#time_zone");
  await press("Control+A");
  await page.keyboard.type("UTC");
  await keys.shoot("keyboard-focus-light");
  await tabTo(page, "[value=save]");
  await press("Enter");
  await page.getByText("By the crontab line 0 5 * * SUN (UTC).").waitFor();
}

/** Until something that the selector names is in focus. Wherever the focus is, it can be seen. */
async function tabTo(page, selector) {
  for (let times = 0; times < 60; times += 1) {
    await page.keyboard.press("Tab");
    const [found, outline, where] = await page.evaluate((selector) => {
      const it = document.activeElement;
      return [it.matches(selector), getComputedStyle(it).outlineStyle, it.outerHTML.slice(0, 120)];
    }, selector);
    assert.ok(outline !== "none" || where.startsWith("<body"), `no focus to be seen on ${where}`);
    if (found) return;
  }
  assert.fail(`the Tab key does not lead to ${selector}`);
}
