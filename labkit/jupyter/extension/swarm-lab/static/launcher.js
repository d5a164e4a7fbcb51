// Swarm Lab in JupyterLab: launcher entries with what is done of each chapter, elements in outputs that open a
// terminal on a node, tables that keep their lines, outputs that stay folded until a prediction is committed, and an
// end for boards that nobody sees.
//
// A prebuilt extension written by hand: JupyterLab loads this script, then asks the container below (a webpack
// "module federation" container: init, get) for the plugin. It takes JupyterLab's own modules from `shared`.

(() => {
  let shared;

  async function load(name) {
    const [version] = Object.values(shared[name]);
    return (await version.get())();
  }

  // A sidecar whose tab is closed is only detached, and its kernel never hears of it; one whose kernel has
  // restarted shows what was. Both are disposed of, which takes their views away, and the kernel is told.
  function tidySidecars(shell) {
    const known = new Set();
    shell.layoutModified.connect(() => {
      for (const widget of shell.widgets('main')) {
        if (widget.hasClass('jupyterlab-sidecar')) {
          known.add(widget);
        }
      }
      for (const sidecar of known) {
        if (!sidecar.isAttached || sidecar.node.querySelector('.jupyter-widgets-disconnected')) {
          known.delete(sidecar);
          sidecar.dispose();
        }
      }
    });
  }

  // Beside the board a notebook is narrower than `docker node ls`: wrapped, its columns cannot be read. And a folded
  // output would show its first line, which may be the answer to a prediction.
  // A chapter's card is wide enough for its title and for what is done of it.
  function addStyle() {
    const style = document.createElement('style');
    style.textContent = `
      .jp-RenderedText[data-mime-type="application/vnd.jupyter.stdout"] { overflow-x: auto; }
      .jp-RenderedText[data-mime-type="application/vnd.jupyter.stdout"] pre { white-space: pre; }
      .jp-OutputPlaceholder .jp-PlaceholderText { display: none; }
      .jp-OutputPlaceholder .jp-Placeholder-contentContainer::before { content: "folded output"; opacity: .7; }
      .jp-LauncherCard[data-category="Chapters"] {
        flex-direction: row; align-items: center; box-sizing: border-box;
        width: 264px; max-width: calc(100% - 16px); min-height: 70px;
      }
      .jp-LauncherCard[data-category="Chapters"][title*="✓"] { border-left: 4px solid var(--jp-success-color1); }
      .jp-LauncherCard[data-category="Chapters"] .jp-LauncherCard-icon { flex: none; width: 52px; height: 52px; }
      .jp-LauncherCard[data-category="Chapters"] .jp-LauncherCard-label { padding: 6px 4px 6px 0; }
      .jp-LauncherCard[data-category="Chapters"] p { line-height: 1.4; text-align: left; white-space: pre-line; }
      .jp-LauncherCard[data-category="Chapters"] p::first-line { font-weight: 600; }
    `;
    document.head.append(style);
  }

  // A cell with widgets.Predict(lab, "NAME", …) asks; the cells up to the one with lab.outcome("NAME", …) answer.
  const PREDICT = /^widgets\.Predict\(\s*lab,\s*"([^"]+)"/;

  function answers(cells, asking) {
    const name = cells[asking].model.sharedModel.getSource().match(PREDICT)?.[1];
    const compares = new RegExp(`^lab\\.outcome\\("${name}"`, 'm');
    const last = name ? cells.findIndex(cell => compares.test(cell.model.sharedModel.getSource())) : -1;
    return cells.slice(asking + 1, last + 1).filter(cell => cell.model.type === 'code');
  }

  function foldUntilPredicted(tracker, actions) {
    // The cell that asks for what `cell` answers, while nobody has committed a prediction in it.
    const open = (notebook, cell) => {
      const cells = [...notebook.widgets];
      return cells.find((asking, index) =>
        answers(cells, index).includes(cell) && !asking.node.querySelector('.labkit-committed'));
    };
    // Running a cell unfolds its outputs, after this signal; a failure is for everyone to see.
    actions.executionScheduled.connect((_, { notebook, cell }) => {
      if (open(notebook, cell)) {
        setTimeout(() => { cell.outputHidden = true; });
      }
    });
    actions.executed.connect((_, { cell, success }) => {
      if (!success) {
        cell.outputHidden = false;
      }
    });
    document.body.addEventListener('click', event => {
      const asked = event.target.closest('.labkit-predict button')?.closest('.labkit-predict');
      if (!asked || asked.querySelector('input')?.value.trim() === '') {
        return;
      }
      tracker.forEach(panel => {
        const cells = [...panel.content.widgets];
        const asking = cells.findIndex(cell => cell.node.contains(asked));
        if (asking >= 0) {
          answers(cells, asking).forEach(cell => { cell.outputHidden = false; });
        }
      });
    });
  }

  const POLL_MILLISECONDS = 5000;

  // Exercises are solved in kernels and terminals, and nothing tells the page. So it asks when a launcher opens, and
  // now and then while one is in sight. `chapters` is replaced by what the server answers.
  function followProgress(app, launcher, { ServerConnection }, state) {
    const settings = app.serviceManager.serverSettings;
    let asking = false;
    let again = false;

    async function ask() {
      again = asking;
      if (asking) {
        return;
      }
      asking = true;
      try {
        const answer = await ServerConnection.makeRequest(settings.baseUrl + 'swarm-lab/progress', {}, settings);
        if (answer.ok) {
          state.chapters = await answer.json();
          launcher.stateChanged.emit();
        }
      } catch {
        // The server is away, which JupyterLab reports; the next answer counts.
      }
      asking = false;
      if (again) {
        ask();
      }
    }

    const isLauncher = widget => Boolean(widget?.content?.hasClass?.('jp-Launcher'));
    app.shell.currentChanged.connect((_, { newValue }) => isLauncher(newValue) && ask());
    setInterval(() => {
      const seen = widget => isLauncher(widget) && widget.isVisible;
      if (!document.hidden && [...app.shell.widgets('main')].some(seen)) {
        ask();
      }
    }, POLL_MILLISECONDS);
    ask();
  }

  function plugin({ ILauncher }, { LabIcon }, { INotebookTracker, NotebookActions }, services) {
    return {
      id: 'swarm-lab:launcher',
      autoStart: true,
      requires: [ILauncher, INotebookTracker],
      activate(app, launcher, tracker) {
        const page = JSON.parse(document.getElementById('jupyter-config-data').textContent);
        const done = { chapters: {} };
        page.swarmLab.forEach((entry, rank) => {
          const command = `swarm-lab:${rank}`;
          app.commands.addCommand(command, {
            label: () => [entry.label, done.chapters[entry.chapter]].filter(Boolean).join('\n'),
            icon: LabIcon.resolve({ icon: entry.icon }),
            execute: () => app.commands.execute(entry.command, entry.args)
          });
          launcher.add({ command, category: entry.category, categoryRank: rank - page.swarmLab.length, rank });
        });

        followProgress(app, launcher, services, done);
        tidySidecars(app.shell);
        addStyle();
        foldUntilPredicted(tracker, NotebookActions);

        // <button data-swarm-lab-terminal="worker1">: JupyterLab's own data-commandlinker-command asks
        // "Run Command?" first wherever it stands in a widget.
        document.body.addEventListener('click', event => {
          const opener = event.target.closest('[data-swarm-lab-terminal]');
          if (opener) {
            app.commands.execute('terminal:open', { name: opener.dataset.swarmLabTerminal });
          }
        });
      }
    };
  }

  (window._JUPYTERLAB ??= {})['swarm-lab'] = {
    init(scope) {
      shared = scope;
    },
    async get() {
      const names = ['launcher', 'ui-components', 'notebook', 'services'];
      const modules = await Promise.all(names.map(name => load(`@jupyterlab/${name}`)));
      return () => ({ __esModule: true, default: plugin(...modules) });
    }
  };
})();
