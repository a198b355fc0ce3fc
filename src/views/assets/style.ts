/** The style sheet: first the colours, then what all pages share, then the parts of single pages. */
import { accentOf, SURFACES, type Theme } from '../branding.ts'

/** The colours that do not depend on the brand. */
const NEUTRAL: Readonly<Record<Theme, Readonly<Record<string, string>>>> = {
  light: {
    line: '#dfe2e8',
    control: '#7c8391',
    text: '#15171c',
    muted: '#535966',
    danger: '#b3261e',
    'danger-soft': '#fdf1f0',
    good: '#11603a',
    'good-soft': '#edf7f1',
    shadow: '0 1px 2px rgb(20 24 32 / .05), 0 12px 32px -12px rgb(20 24 32 / .12)',
  },
  dark: {
    line: '#2b2f38',
    control: '#7d8594',
    text: '#eceef2',
    muted: '#a6adba',
    danger: '#ff9d94',
    'danger-soft': '#2d1817',
    good: '#84d9a8',
    'good-soft': '#13251b',
    shadow: 'none',
  },
}

function variables(color: string, theme: Theme): string {
  const accent = accentOf(color, theme)
  const all = {
    ...SURFACES[theme],
    ...NEUTRAL[theme],
    button: accent.button,
    'on-button': accent.onButton,
    'button-hover': accent.buttonHover,
    edge: accent.edge,
    link: accent.link,
    focus: accent.focus,
  }
  return Object.entries(all)
    .map(([name, value]) => `--${name}:${value};`)
    .join('')
}

const RULES = `
*,::before,::after{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;text-size-adjust:100%}
body{margin:0;min-height:100vh;min-height:100dvh;background:var(--page);color:var(--text);
font:1rem/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue","Noto Sans",Arial,sans-serif;
overflow-wrap:break-word;-webkit-font-smoothing:antialiased}
h1,h2,h3,p,ul,ol,dl,dd,form{margin:0;padding:0}
ul,ol{list-style:none}
h1{font-size:1.5rem;line-height:1.25;font-weight:650;letter-spacing:-.015em;text-wrap:balance}
h2{font-size:1.0625rem;line-height:1.35;font-weight:650;letter-spacing:-.005em}
h3{font-size:1rem;line-height:1.4;font-weight:600}
p{text-wrap:pretty}
a{color:var(--link);text-underline-offset:.18em;text-decoration-thickness:1px}
a:hover{text-decoration-thickness:2px}
code,.mono{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"Liberation Mono",monospace}
[hidden]{display:none!important}
.visually-hidden{position:absolute;width:1px;height:1px;margin:-1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.name{font-weight:600}
.muted,.hint,.lead{color:var(--muted)}
.hint,.small{font-size:.875rem}
:focus-visible{outline:3px solid var(--focus);outline-offset:2px}

.site{display:flex;align-items:center;gap:1rem;padding:1.25rem 1.5rem}
.brand{display:flex;align-items:center;gap:.625rem;font-weight:650;letter-spacing:-.01em;font-size:1.0625rem;min-width:0}
.brand .emblem{width:2.25rem;height:2.25rem;flex:none}
.brand .logo{display:block;height:2.75rem;width:auto;max-width:min(14rem,60vw);object-fit:scale-down;object-position:left}
.narrow .brand .logo{object-position:center}
.narrow{display:grid;grid-template-rows:auto 1fr;justify-items:center}
.narrow .site{width:100%;justify-content:center;padding-top:clamp(1.25rem,9vh,5.5rem)}
.narrow main{width:100%;max-width:27rem;padding:.5rem 1rem 4rem}
.wide .site,.wide main{width:100%;max-width:48rem;margin:0 auto}
.wide .site{justify-content:space-between;padding-top:1.75rem}
.wide main{padding:.5rem 1.5rem 5rem}
.card{background:var(--card);border:1px solid var(--line);border-radius:1rem;box-shadow:var(--shadow)}
.narrow .card{padding:2.25rem}
.stack>*+*{margin-top:1.25rem}
.stack>.tight{margin-top:.375rem}
.stack>noscript>*{margin-top:1.25rem}

.field>label{display:block;font-weight:600;font-size:.9375rem}
.field .hint{margin-top:.0625rem}
.field input{display:block;width:100%;min-height:3rem;margin-top:.4375rem;padding:.625rem .875rem;font:inherit;color:inherit;
background:var(--card);border:1px solid var(--control);border-radius:.625rem;appearance:none}
.field input:hover{border-color:var(--text)}
.field input:focus-visible{outline-offset:0;border-color:var(--focus);outline-width:2px}
.field input[aria-invalid]:focus-visible{outline-offset:2px}
.field input[aria-invalid]{border-color:var(--danger);border-width:2px;padding:.5625rem .8125rem}
.field input.code{font-size:1.25rem;letter-spacing:.2em;font-variant-numeric:tabular-nums}
.check{display:flex;align-items:center;gap:.75rem;min-height:2.75rem;cursor:pointer}
.check input{width:1.25rem;height:1.25rem;margin:0;flex:none;accent-color:var(--edge)}

.button{display:inline-flex;align-items:center;justify-content:center;min-height:2.75rem;padding:.5rem 1.125rem;
font:inherit;font-weight:600;line-height:1.25;text-align:center;text-decoration:none;color:var(--text);background:var(--card);
border:1px solid var(--control);border-radius:.625rem;cursor:pointer;transition:background-color .12s,border-color .12s}
.button:hover{border-color:var(--text)}
.button.primary{background:var(--button);color:var(--on-button);border-color:var(--edge)}
.button.primary:hover{background:var(--button-hover)}
.button.danger{color:var(--danger);border-color:var(--danger)}
.button.danger:hover{background:var(--danger-soft)}
.button.quiet{color:var(--link);background:none;border-color:transparent;font-weight:400;text-decoration:underline;
text-decoration-thickness:1px;text-underline-offset:.18em}
.button.quiet:hover{border-color:transparent;text-decoration-thickness:2px}
.narrow .card .button{width:100%;min-height:3rem}
.choice{display:grid;grid-template-columns:1fr 1fr;gap:.75rem}
.more{display:inline-flex;align-items:center;min-height:2.75rem}
.center{text-align:center}
.or{display:flex;align-items:center;gap:1rem;color:var(--muted);font-size:.875rem}
.or::before,.or::after{content:"";flex:1;border-top:1px solid var(--line)}

.message{padding:.75rem 1rem;border-radius:.625rem;border:1px solid;font-size:.9375rem}
.message.bad{color:var(--danger);background:var(--danger-soft)}
.message.good{color:var(--good);background:var(--good-soft)}
.message.plain{color:var(--text);border-color:var(--line);background:var(--page)}
.message:focus-visible{outline-color:currentcolor}

details>summary{display:inline-flex;align-items:center;min-height:2.75rem;color:var(--link);cursor:pointer;
text-decoration:underline;text-decoration-thickness:1px;text-underline-offset:.18em;list-style:none}
details>summary::-webkit-details-marker{display:none}
details>summary:hover{text-decoration-thickness:2px}
details[open]>summary{margin-bottom:.25rem}
details[open]>summary .closed,details:not([open])>summary .opened{display:none}
.card:has(.instead[open]) .ways{display:none}

.client-logo{display:block;height:3rem;width:auto;max-width:100%;object-fit:scale-down;object-position:left;border-radius:.625rem}
.links a{white-space:nowrap}
.scopes{display:grid;gap:.625rem}
.scopes li{position:relative;padding-left:1.75rem}
.scopes li::before{content:"";position:absolute;left:.25rem;top:.35em;width:.4rem;height:.75rem;border:solid var(--edge);
border-width:0 2px 2px 0;transform:rotate(45deg)}
.scopes .api{padding:0;color:var(--muted);font-size:.9375rem}
.scopes .api::before{content:none}
.scopes+.scopes{margin-top:1rem}
.panel{padding:1.125rem 1.25rem;border:1px solid var(--line);border-radius:.75rem;background:var(--page)}
.panel>*+*{margin-top:.875rem}

.choices>li+li{margin-top:.75rem}
.choices a{display:block;padding:1rem 1.125rem;border:1px solid var(--control);border-radius:.75rem;color:inherit;text-decoration:none}
.choices a:hover{border-color:var(--text)}
.choices strong{display:block;color:var(--link)}
.choices strong::after{content:" \\2192"/""}

.stack>.qr{margin:1.25rem auto}
.qr{display:block;width:13rem;height:13rem;border-radius:.5rem;border:1px solid var(--line);background:#fff}
.secret{padding:.75rem calc(50% - 10.5ch);border:1px solid var(--line);border-radius:.625rem;background:var(--page);
font-size:1rem;line-height:1.7;text-align:center;user-select:all}
.codes{display:grid;grid-template-columns:repeat(auto-fit,minmax(8.75rem,1fr));gap:.5rem 1rem;padding:1.125rem .75rem;border:1px solid var(--line);
border-radius:.75rem;background:var(--page);text-align:center;font-size:1rem;font-variant-numeric:tabular-nums;white-space:nowrap;user-select:all}

.sections>*+*{margin-top:1.25rem}
.sections .title{margin-bottom:1.5rem}
.section{padding:1.5rem 1.75rem}
.section .intro{color:var(--muted);font-size:.9375rem;margin-top:.25rem}
.rows{margin-top:.75rem}
.rows>li{display:flex;flex-wrap:wrap;align-items:center;justify-content:space-between;gap:.75rem 1.5rem;padding:.875rem 0;border-top:1px solid var(--line)}
.rows>li:last-child{padding-bottom:0}
.rows .text{flex:1 1 12.5rem;min-width:0}
.rows .rows{flex:1 0 100%;margin:0;padding-left:1.25rem;border-left:3px solid var(--line)}
.rows .rows>li:first-child{border-top:0}
.rows .rows>li{padding:.5rem 0}
.rows .text p{color:var(--muted);font-size:.9375rem}
.badge{display:inline-block;margin-left:.5rem;padding:.0625rem .5rem;border-radius:1rem;font-size:.8125rem;font-weight:600;
color:var(--good);background:var(--good-soft);border:1px solid;vertical-align:.08em}
.section .foot{display:flex;flex-wrap:wrap;align-items:center;justify-content:space-between;gap:.75rem 1.5rem;margin-top:.875rem;padding-top:1.125rem;border-top:1px solid var(--line)}
.facts{display:grid;grid-template-columns:minmax(7rem,auto) 1fr;gap:.5rem 1.5rem;margin-top:.875rem}
.facts dt{color:var(--muted)}
.facts dd{min-width:0}

@media (max-width:30rem){
body.narrow{background:var(--card)}
.narrow .site{justify-content:flex-start;padding:1.25rem 1.5rem .25rem}
.narrow main{padding:1rem 0 3rem}
.narrow .card{border:0;border-radius:0;box-shadow:none;padding:.75rem 1.5rem 1.5rem}
.wide .site{padding:1.25rem 1.25rem .75rem}
.wide main{padding:.25rem 0 3rem}
.sections .title,.sections>.message{margin-left:1.25rem;margin-right:1.25rem}
.sections>*+*{margin-top:.75rem}
.section{padding:1.5rem 1.25rem;border-radius:0;border-width:1px 0}
.section.card{box-shadow:none}
.facts{grid-template-columns:1fr;gap:0}
.facts dd{margin-bottom:.625rem}
}
@media (prefers-reduced-motion:reduce){*,::before,::after{transition:none!important;animation:none!important}}
@media (forced-colors:active){
.button.primary{border-width:2px}
.scopes li::before{border-color:currentcolor}
.or::before,.or::after{border-color:currentcolor}
}
@media print{
body{background:#fff;color:#000}
.card{border:0;box-shadow:none}
.button,form,.aside,.no-print{display:none!important}
}
`

/** @throws TypeError if the colour is not `#rrggbb` */
export const styleSheet = (color: string): string =>
  `:root{color-scheme:light dark;${variables(color, 'light')}}
@media (prefers-color-scheme:dark){:root{${variables(color, 'dark')}}}
${RULES.trim()}
`
