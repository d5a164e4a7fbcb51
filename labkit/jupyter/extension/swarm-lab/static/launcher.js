// Swarm Lab in JupyterLab: launcher entries, elements in outputs that open a terminal on a node, tables that keep
// their lines, and an end for boards that nobody sees.
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

  // Beside the board a notebook is narrower than `docker node ls`: wrapped, its columns cannot be read.
  function keepLines() {
    const style = document.createElement('style');
    style.textContent = `
      .jp-RenderedText[data-mime-type="application/vnd.jupyter.stdout"] { overflow-x: auto; }
      .jp-RenderedText[data-mime-type="application/vnd.jupyter.stdout"] pre { white-space: pre; }
    `;
    document.head.append(style);
  }

  function plugin({ ILauncher }, { LabIcon }) {
    return {
      id: 'swarm-lab:launcher',
      autoStart: true,
      requires: [ILauncher],
      activate(app, launcher) {
        const page = JSON.parse(document.getElementById('jupyter-config-data').textContent);
        page.swarmLab.forEach((entry, rank) => {
          const command = `swarm-lab:${rank}`;
          app.commands.addCommand(command, {
            label: entry.label,
            icon: LabIcon.resolve({ icon: entry.icon }),
            execute: () => app.commands.execute(entry.command, entry.args)
          });
          launcher.add({ command, category: entry.category, categoryRank: rank - page.swarmLab.length, rank });
        });

        tidySidecars(app.shell);
        keepLines();

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
      const modules = await Promise.all(['@jupyterlab/launcher', '@jupyterlab/ui-components'].map(load));
      return () => ({ __esModule: true, default: plugin(...modules) });
    }
  };
})();
