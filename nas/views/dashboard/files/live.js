// Every second or so, ask for the part of the page that changes, and replace the sections that did.
const main = document.querySelector("main");
const sections = (root) => new Map([...root.children].map((section) => [section.id, section]));
const served = new Map([...sections(main)].map(([id, section]) => [id, section.outerHTML]));

async function refresh() {
  if (!document.hidden) {
    const answer = await fetch(main.dataset.live).catch(() => null);
    document.getElementById("connection").hidden = Boolean(answer?.ok);
    if (answer?.ok) replace(await answer.text());
  }
  setTimeout(refresh, 1500);
}

function replace(html) {
  const fresh = document.createElement("main");
  fresh.innerHTML = html; // written by our own server, which escapes whatever it did not write itself
  for (const [id, section] of sections(fresh)) {
    if (served.get(id) === section.outerHTML) continue;
    served.set(id, section.outerHTML);
    document.getElementById(id).replaceWith(section);
  }
}

setTimeout(refresh, 1500);
