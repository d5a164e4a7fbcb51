// Swarm Lab in a workshop: the instructor's messages as notifications, who is watching, chapters that the instructor
// begins, and a panel with the instructor's commands and outputs, ready to copy. It does nothing anywhere else.
//
// A prebuilt extension written by hand, as extension/swarm-lab is: JupyterLab loads this script, then asks the container
// at its end for the plugin. Everything comes from the courier in this Jupyter server, as server-sent events.

(() => {
  let shared;

  async function load(name) {
    const [version] = Object.values(shared[name]);
    return (await version.get())();
  }

  const PANEL = 'swarm-lab-instructor';
  const SHORT = 120; // letters of a notification, which JupyterLab cuts off after 140
  const AGAIN = 5000; // ms until the next attempt to connect
  const SETTLING = 10000; // ms in which a new notification appears at the latest

  const STYLE = `
    .labkit-watched { display: flex; align-items: center; padding: 0 10px; font-weight: 600; white-space: nowrap;
      color: var(--jp-ui-font-color1); background: var(--jp-layout-color2); border-bottom: 3px solid var(--jp-warn-color1); }
    .labkit-watched[hidden] { display: none; }
    .labkit-instructor { display: flex; flex-direction: column; padding: 4px 0; color: var(--jp-ui-font-color1); background: var(--jp-layout-color1);
      font-size: var(--jp-ui-font-size1); line-height: 1.5; }
    .labkit-instructor section { overflow: auto; padding: 4px 12px; flex: 1; min-height: 6em; }
    .labkit-instructor section:first-child { flex: none; max-height: 40%; }
    .labkit-instructor h2 { font-size: var(--jp-ui-font-size2); margin: 8px 0 4px; }
    .labkit-instructor ol { list-style: none; margin: 0; padding: 0; }
    .labkit-instructor li { padding: 6px 0; border-bottom: 1px solid var(--jp-border-color2); }
    .labkit-instructor li.labkit-unseen { border-left: 4px solid var(--jp-brand-color1); padding-left: 8px; }
    .labkit-instructor time, .labkit-instructor .labkit-about { color: var(--jp-ui-font-color2); }
    .labkit-instructor p { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; }
    .labkit-instructor pre { margin: 4px 0; padding: 6px 8px; overflow: auto; max-height: 20em; white-space: pre;
      font-family: var(--jp-code-font-family); font-size: var(--jp-code-font-size); line-height: 1.4;
      color: var(--jp-content-font-color1); background: var(--jp-layout-color2); }
    .labkit-instructor button { font: inherit; padding: 1px 10px; border-radius: 2px; cursor: pointer;
      border: 1px solid var(--jp-border-color1); color: var(--jp-ui-font-color1); background: var(--jp-layout-color2); }
    .labkit-instructor button:hover { background: var(--jp-layout-color3); }
    .labkit-instructor :focus-visible { outline: 2px solid var(--jp-brand-color1); outline-offset: 1px; }
  `;

  function element(tag, properties = {}, ...children) {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  }

  // A button that copies, and says so. Where a page may not write to the clipboard, the text is selected.
  function copyButton(what, source) {
    const label = `Copy ${what}`;
    const button = element('button', { type: 'button', textContent: label });
    const say = words => {
      button.textContent = words;
      setTimeout(() => { button.textContent = label; }, 1500);
    };
    const select = () => {
      getSelection().selectAllChildren(source);
      say('Press Ctrl+C');
    };
    button.addEventListener('click', () => {
      navigator.clipboard ? navigator.clipboard.writeText(source.textContent).then(() => say('Copied'), select) : select();
    });
    return button;
  }

  function clock(seconds) {
    return element('time', { textContent: new Date(seconds * 1000).toLocaleTimeString() });
  }

  function shownCommand({ data }) {
    const ended = data.code === null || data.code === undefined ? 'stopped' : `exit ${data.code}`;
    const command = element('pre', { tabIndex: 0, textContent: data.command });
    const about = element('span', { className: 'labkit-about', textContent: ` on ${data.node} · ${ended}` });
    const made = element('li', {}, element('div', {}, clock(data.moment), about), command, copyButton('command', command));
    if (data.output) {
      const output = element('pre', { tabIndex: 0, textContent: data.output });
      made.append(' ', copyButton('output', output), output);
    }
    return made;
  }

  function shownMessage(item, confirm) {
    const from = element('span', { className: 'labkit-about', textContent: ` from ${item.data.from}` });
    const made = element('li', {}, element('div', {}, clock(item.moment), from), element('p', { textContent: item.data.text }));
    if (!item.seen) {
      made.className = 'labkit-unseen';
      made.append(element('button', { type: 'button', textContent: 'Got it', onclick: () => confirm(item.id) }));
    }
    return made;
  }

  // One list of the panel: an element for each item, in the order of their numbers.
  class List {
    constructor(title, empty, attributes) {
      this.rows = new Map();
      this.list = element('ol');
      for (const [name, value] of Object.entries(attributes)) {
        this.list.setAttribute(name, value);
      }
      this.nothing = element('p', { className: 'labkit-about', textContent: empty });
      this.node = element('section', {}, element('h2', { textContent: title }), this.nothing, this.list);
      this.node.setAttribute('aria-label', title);
    }

    put(id, row) {
      this.rows.get(id) ? this.rows.get(id).replaceWith(row) : this.list.append(row);
      this.rows.set(id, row);
      this.nothing.hidden = true;
    }
  }

  function makePanel(Widget, LabIcon) {
    const panel = new Widget();
    panel.id = PANEL;
    panel.title.caption = 'Instructor: messages and commands';
    panel.title.icon = LabIcon.resolve({ icon: 'ui-components:users' });
    panel.addClass('labkit-instructor');
    panel.node.setAttribute('role', 'region');
    panel.node.setAttribute('aria-label', 'Instructor');
    panel.messages = new List('Messages', 'No messages yet.', { role: 'log', 'aria-label': 'Messages' });
    panel.commands = new List("The instructor's commands", 'Nothing yet. What your instructor runs appears here.', {
      'aria-label': "The instructor's commands"
    });
    panel.node.append(panel.messages.node, panel.commands.node);
    return panel;
  }

  function makeNotice(Widget) {
    const notice = new Widget();
    notice.id = 'swarm-lab-watched';
    notice.addClass('labkit-watched');
    notice.node.setAttribute('role', 'status');
    notice.say = watchers => {
      notice.node.hidden = !watchers.length;
      const who = watchers.join(' and ');
      notice.node.textContent = watchers.length ? `${who} ${watchers.length > 1 ? 'are' : 'is'} watching your lab` : '';
    };
    notice.say([]);
    return notice;
  }

  // A notebook that is open may have lost its kernel, because kernels that nobody uses are stopped.
  async function provideKernel(app, panel) {
    await panel.context.ready;
    await app.serviceManager.sessions.refreshRunning();
    await panel.sessionContext.ready;
    const kernel = panel.sessionContext.session?.kernel;
    if (!kernel || ['dead', 'unknown', 'terminating'].includes(kernel.status)) {
      await panel.sessionContext.changeKernel({ name: panel.sessionContext.kernelPreference.name ?? 'python3' });
    }
  }

  const ORDERS = {
    begin: item => `Your instructor is bringing your lab to the start of ${item.data.chapter}.`,
    reset: () => 'Your instructor is resetting your lab.'
  };
  const DONE = {
    begin: item => `Your lab is at the start of ${item.data.chapter}. Run the notebook's first cell.`,
    reset: () => 'Your lab was reset: every node is a bare engine again.'
  };

  function work(app, config, { Notification }, { ServerConnection }, { Widget }, { LabIcon }) {
    const settings = app.serviceManager.serverSettings;
    const base = settings.baseUrl + 'labkit/class/';
    const panel = makePanel(Widget, LabIcon);
    const notice = makeNotice(Widget);
    const open = new Map(); // notifications by the item's number: each one's own name, and since when it's there
    let told = config.instructor; // whether the learner knows of the panel

    document.head.append(element('style', { textContent: STYLE }));
    app.shell.add(notice, 'top', { rank: 900 });
    app.shell.add(panel, 'right', { rank: 500 });
    const show = () => app.shell.activateById(PANEL);

    // JupyterLab overlooks changes of a notification that isn't shown yet.
    function onceShown({ id, since }, act) {
      if (document.getElementById(id) || Date.now() - since > SETTLING) {
        act();
      } else {
        setTimeout(() => onceShown({ id, since }, act), 100);
      }
    }

    function close(number) {
      const known = open.get(number);
      if (known) {
        open.delete(number);
        onceShown(known, () => Notification.dismiss(known.id));
      }
    }

    function confirm(...ids) {
      ids.forEach(close);
      const body = JSON.stringify({ ids });
      ServerConnection.makeRequest(`${base}seen`, { method: 'POST', body }, settings).catch(error => {
        console.warn('swarm-lab-workshop', error); // it will be shown again
      });
    }

    function notify(item, message, type) {
      const short = message.length > SHORT;
      const text = short ? `${message.slice(0, SHORT)}…` : message;
      const gotIt = { label: 'Got it', callback: () => confirm(item.id) };
      const readAll = { label: 'Read all', callback: show, displayType: 'accent' };
      const actions = [...(short ? [readAll] : []), gotIt];
      const known = open.get(item.id);
      if (known && Notification.manager.has(known.id) && known.text === text && known.type === type) {
        return; // told again after a reconnection
      }
      close(item.id); // JupyterLab may overlook an update, but never a new notification
      open.set(item.id, { id: Notification.emit(text, type, { autoClose: false, actions }), since: Date.now(), text, type });
    }

    async function openNotebook(path) {
      if (path) {
        const document = await app.commands.execute('docmanager:open', { path });
        if (document?.sessionContext) {
          await provideKernel(app, document);
        }
      }
    }

    function follow(item) {
      if (item.ok === null) {
        notify(item, ORDERS[item.event](item), 'in-progress');
      } else if (item.ok) {
        notify(item, DONE[item.event](item), 'success');
        if (item.event === 'begin') {
          openNotebook(item.path).catch(error => console.warn('swarm-lab-workshop', error));
        }
      } else {
        notify(item, `Your instructor's order failed: ${item.text}`, 'error');
      }
    }

    function take(item, isNew) {
      if (item.event === 'message') {
        panel.messages.put(item.id, shownMessage(item, confirm));
        if (!item.seen) {
          notify(item, `${item.data.from}: ${item.data.text}`, 'info');
        }
      } else if (item.event === 'command') {
        const { node } = panel.commands;
        const atEnd = node.scrollHeight - node.scrollTop - node.clientHeight < 40;
        panel.commands.put(item.id, shownCommand(item));
        if (atEnd) { // whoever has scrolled up is reading something
          node.scrollTop = node.scrollHeight;
        }
        if (isNew && !told && !panel.isVisible) {
          Notification.emit('You can follow and copy what your instructor runs.', 'info', {
            autoClose: false,
            actions: [{ label: 'Show the commands', callback: show }]
          });
        }
        told = told || isNew;
      } else if (item.event in ORDERS && !item.seen) {
        follow(item);
      }
      if (item.seen) { // in another tab, perhaps
        close(item.id);
      }
    }

    // Of several orders that came while no browser was open, only the last one still means something.
    function start({ items, watchers }) {
      notice.say(watchers);
      const orders = items.filter(item => item.event in ORDERS && !item.seen);
      const old = orders.slice(0, -1).map(item => item.id);
      items.filter(item => !old.includes(item.id)).forEach(item => take(item, false));
      if (old.length) {
        confirm(...old);
      }
    }

    function connect() {
      // A hub takes a cookie only together with the token against forged requests, and an EventSource has no headers.
      const forged = /(?:^|; )_xsrf=([^;]*)/.exec(document.cookie)?.[1] ?? '';
      const source = new EventSource(`${base}events?_xsrf=${forged}`, { withCredentials: true });
      const on = (event, act) => source.addEventListener(event, ({ data }) => act(JSON.parse(data)));
      on('state', start);
      on('item', item => take(item, true));
      on('watch', ({ watchers }) => notice.say(watchers));
      source.addEventListener('error', () => {
        if (source.readyState === EventSource.CLOSED) {
          setTimeout(connect, AGAIN);
        }
      });
    }

    app.commands.addCommand('swarm-lab:instructor', {
      label: "Show the Instructor's Messages and Commands",
      execute: show
    });
    app.restored.then(connect);
  }

  function plugin(apputils, services, widgets, components) {
    return {
      id: 'swarm-lab-workshop:instructor',
      autoStart: true,
      optional: [apputils.ICommandPalette],
      activate(app, palette) {
        const page = JSON.parse(document.getElementById('jupyter-config-data').textContent);
        if (page.swarmLabWorkshop) {
          work(app, page.swarmLabWorkshop, apputils, services, widgets, components);
          palette?.addItem({ command: 'swarm-lab:instructor', category: 'Swarm Lab' });
        }
      }
    };
  }

  (window._JUPYTERLAB ??= {})['swarm-lab-workshop'] = {
    init(scope) {
      shared = scope;
    },
    async get() {
      const names = ['@jupyterlab/apputils', '@jupyterlab/services', '@lumino/widgets', '@jupyterlab/ui-components'];
      const modules = await Promise.all(names.map(load));
      return () => ({ __esModule: true, default: plugin(...modules) });
    }
  };
})();
