// Presses a button of the one dead job that there is, as an administrator.
//
// usage: node jobs.mjs ORIGIN ADMIN_TOKEN_FILE SHOTS_FOLDER requeue|drop

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { launch, Visitor } from "./browser.mjs";

const [origin, tokenFile, shots, action] = process.argv.slice(2);

const browser = await launch();
try {
  const ada = await Visitor.come(browser, origin, shots);
  const { page } = ada;
  await page.goto("/jobs");
  await page.getByLabel("API token").fill(readFileSync(tokenFile, "utf8").trim());
  await page.getByRole("button", { name: "Sign in" }).click();
  const row = page.getByRole("row", { name: /Reading a segment/ });
  await row.getByText("Waiting").waitFor();
  await row.getByText("Delivered too often").waitFor();
  await { requeue, drop }[action](ada, row);
  assert.deepEqual(ada.faults, [], ada.faults.join("\n"));
} finally {
  await browser.close();
}

async function requeue(ada, row) {
  await ada.look("jobs-dead");
  await row.getByRole("button", { name: "Announce now" }).click();
  await ada.page.getByText("The job is announced again").waitFor();
}

/** It asks first, and whoever has second thoughts keeps the job. */
async function drop(ada, row) {
  const { page } = ada;
  await row.getByRole("link", { name: "Drop" }).click();
  await page.getByText("What it was for is given up").waitFor();
  await ada.look("job-drop");
  await page.getByRole("link", { name: "Keep it" }).click();
  await row.getByRole("link", { name: "Drop" }).click();
  await page.getByRole("button", { name: "Drop the job" }).click();
  await page.getByText("The job is dropped").waitFor();
  await row.waitFor({ state: "detached" });
}
