// "Can you fool it?": nine prompts of hard writing, with the answer live.

import { make } from "./cell.js";

const PROMPTS = [
  ["7", "a 7 with a bar"],
  ["4", "an open 4"],
  ["1", "a 1 with a flag and a foot"],
  ["9", "a 9 with a curled tail"],
  ["2", "a 2 with a loop at its foot"],
  ["0", "a 0 with a slash through it"],
  ["5", "a 5 whose roof floats above it"],
  ["3", "a 3 with a flat top"],
  ["8", "an 8 of two circles"],
];

class Game {
  constructor(tab, element) {
    this.tab = tab;
    this.prompt = make("p", "prompt");
    this.answer = make("p", "answer");
    this.answer.setAttribute("role", "status");
    this.next = make("button", "primary", "Next");
    this.leave = make("button", "", "Stop");
    element.append(make("div", "game", this.prompt, this.answer, make("span", "buttons", this.next, this.leave)));
    this.board = element.lastChild;
    for (const button of [this.next, this.leave]) button.type = "button";
    this.next.addEventListener("click", () => (this.round < PROMPTS.length ? this.record() : this.start()));
    this.leave.addEventListener("click", () => this.stop());
    this.observer = new MutationObserver(() => this.show());
    this.start();
  }

  get read() {
    return this.tab.querySelector(".number .read")?.textContent ?? "";
  }

  start() {
    this.board.hidden = false;
    this.round = 0;
    this.fooled = [];
    this.observer.observe(this.tab.querySelector(".reading"), { childList: true, subtree: true, characterData: true });
    this.ask();
  }

  stop() {
    this.observer.disconnect();
    this.board.hidden = true;
  }

  ask() {
    const pad = this.tab.querySelector(".paper canvas").pad;
    if (!pad.drawing.empty) pad.act("clear");
    const [, words] = PROMPTS[this.round];
    this.prompt.replaceChildren(make("small", "", `${this.round + 1} of ${PROMPTS.length}`), ` Draw ${words}.`);
    this.next.textContent = "Next";
    this.show();
  }

  show() {
    if (this.round === PROMPTS.length) return;
    const [digit] = PROMPTS[this.round];
    const { read } = this;
    const right = read === digit;
    this.answer.className = `answer ${read === "" ? "" : right ? "right" : "fooled"}`;
    this.answer.textContent = read === "" ? "" : right ? `It reads ${read}: right.` : `It reads ${read}.`;
    this.next.disabled = read === "";
  }

  record() {
    const [digit, words] = PROMPTS[this.round];
    if (this.read !== digit) this.fooled.push(`${words} as ${this.read}`);
    this.round++;
    if (this.round < PROMPTS.length) return this.ask();
    const right = PROMPTS.length - this.fooled.length;
    this.prompt.textContent = `It read ${right} of ${PROMPTS.length}.`;
    this.answer.className = "answer";
    this.answer.textContent = this.fooled.length ? `You fooled it: it read ${this.fooled.join(", ")}.` : "You did not fool it.";
    this.next.textContent = "Again";
  }
}

const games = new WeakMap();

// Begins the game below the pad.
export function play(tab, element) {
  if (games.has(element)) games.get(element).start();
  else games.set(element, new Game(tab, element));
}
