// A browser that looks after the promises that hold for every page: nothing comes from elsewhere, nothing is
// refused by the policy, nobody who cannot see or has a small screen is shut out.

import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { chromium } from "playwright-core";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const WIDE = { width: 1280, height: 860 };
const NARROW = { width: 390, height: 844 };
/** What axe calls grave enough that somebody cannot use a page. */
const GRAVE = ["serious", "critical"];

export async function launch() {
  const executablePath = process.env.SEGUE_TEST_CHROMIUM || "/usr/bin/chromium";
  // Without a user of its own there is no sandbox; it loads nothing but pages of this machine.
  const args = process.getuid() === 0 ? ["--no-sandbox"] : [];
  return chromium.launch({ executablePath, args });
}

/** One person with a browser of their own. */
export class Visitor {
  static async come(browser, origin, shots) {
    const context = await browser.newContext({ baseURL: origin, viewport: WIDE, reducedMotion: "reduce" });
    return new Visitor(context, await context.newPage(), origin, shots);
  }

  constructor(context, page, origin, shots) {
    Object.assign(this, { context, page, origin, shots, faults: [], seen: [] });
    mkdirSync(shots, { recursive: true });
    page.on("request", (request) => {
      const url = new URL(request.url());
      if (url.protocol !== "data:" && url.origin !== origin) {
        this.faults.push(`a request left the origin: ${request.url()}`);
      }
    });
    page.on("pageerror", (error) => this.faults.push(`the script failed: ${error}`));
    page.on("console", (message) => {
      // What cannot be done, a form that is refused, and a page that is not for everybody have a status that browsers note.
      const noted = /status of (400|403|422)/.test(message.text());
      if (["error", "warning"].includes(message.type()) && !noted) {
        this.faults.push(`the browser complained on ${page.url()}: ${message.text()}`);
      }
    });
  }

  /** Looks at the page as everybody may see it, and keeps pictures of it. */
  async look(name) {
    const { page } = this;
    this.seen.push(name);
    for (const scheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme: scheme });
      await page.setViewportSize(WIDE);
      await this.shoot(`${name}-${scheme}`);
      await this.audit(`${name}, ${scheme}`);
      await page.setViewportSize(NARROW);
      await this.shoot(`${name}-narrow-${scheme}`);
      await this.fits(`${name}, ${scheme}`);
      await this.audit(`${name}, narrow, ${scheme}`);
    }
    await page.emulateMedia({ colorScheme: "light" });
    await page.setViewportSize(WIDE);
  }

  async shoot(name) {
    await this.page.screenshot({ path: join(this.shots, `${name}.png`), fullPage: true, animations: "disabled" });
  }

  async audit(where) {
    await this.page.evaluate(axe);
    const found = await this.page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
    for (const { id, impact, help, nodes } of found.violations.filter((it) => GRAVE.includes(it.impact))) {
      const targets = nodes.slice(0, 4).map((node) => `${node.target} ${node.failureSummary}`);
      this.faults.push(`axe on ${where}: ${id} (${impact}): ${help}\n    ${targets.join("\n    ")}`);
    }
  }

  /** Nobody has to scroll sideways to read. */
  async fits(where) {
    const [wanted, given] = await this.page.evaluate(() => [
      document.documentElement.scrollWidth,
      document.documentElement.clientWidth,
    ]);
    if (wanted > given) {
      const widest = await this.page.evaluate(() => {
        const inside = (it) => it.closest(".scroll") === null && !it.closest(".hidden");
        const wide = [...document.querySelectorAll("body *")].filter(
          (it) => inside(it) && it.getBoundingClientRect().right > document.documentElement.clientWidth + 1,
        );
        return wide.slice(0, 4).map((it) => it.outerHTML.slice(0, 120));
      });
      this.faults.push(`${where} is ${wanted} px wide on a screen of ${given}:\n    ${widest.join("\n    ")}`);
    }
  }
}
