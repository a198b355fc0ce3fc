/** The style sheet of the console, in addition to that of all pages, whose colours it uses. */
export const CONSOLE_STYLE = `
.console{display:grid;grid-template-columns:14rem minmax(0,1fr);grid-template-rows:auto 1fr;min-height:100vh;min-height:100dvh}
.console .site{grid-column:1/-1;justify-content:space-between;padding:.75rem 1.5rem;border-bottom:1px solid var(--line);background:var(--card)}
.console .brand .emblem{width:1.75rem;height:1.75rem}
.console .brand .logo{height:2rem}
.who{font-size:.875rem;color:var(--muted);text-align:right;min-width:0}
.who a{margin-left:.75rem;white-space:nowrap}
.places{padding:1.25rem .75rem;border-right:1px solid var(--line);font-size:.9375rem}
.places ul{display:grid;gap:.125rem;position:sticky;top:1.25rem}
.places a{display:block;padding:.4375rem .75rem;border-radius:.5rem;color:var(--text);text-decoration:none}
.places a:hover{background:var(--card);text-decoration:underline}
.places a[aria-current]{background:var(--card);font-weight:650;box-shadow:inset 3px 0 0 var(--edge);border-radius:.25rem .5rem .5rem .25rem}
.console main{min-width:0;padding:1.5rem 2rem 4rem}
.console-page{max-width:70rem;font-size:.9375rem}
.console-page>*+*{margin-top:1.125rem}
.heading{display:grid;grid-template-columns:minmax(0,1fr) auto;align-items:center;gap:.25rem 1rem}
.heading .back{grid-column:1/-1;font-size:.875rem}
.heading .back a{display:inline-block;padding:.25rem 0}
.heading .back a::before{content:"\\2190"/"";margin-right:.375rem}
.console h1{font-size:1.375rem;overflow-wrap:anywhere}
.actions{display:flex;flex-wrap:wrap;gap:.5rem;justify-content:flex-end}
.console .button{min-height:2.375rem;padding:.3125rem .875rem;font-size:.9375rem;border-radius:.5rem}
.console-page>.intro{margin-top:.375rem;max-width:48rem}
.console .card{border-radius:.75rem;box-shadow:none}
.block{padding:1.125rem 1.25rem}
.block>*+*{margin-top:.875rem}
.block h2{font-size:1rem}
.grid{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,22rem),1fr));gap:1.125rem}
.console .facts{margin-top:.75rem;gap:.5rem 1.5rem;grid-template-columns:minmax(8rem,14rem) minmax(0,1fr)}
.console .facts dd{overflow-wrap:anywhere}

.toolbar{display:flex;flex-wrap:wrap;align-items:center;gap:.5rem}
.toolbar input[type=search],.toolbar input[type=text]{flex:1 1 14rem;max-width:24rem}
.toolbar input,.toolbar select,.fields input[type=text],.fields select,.fields textarea,.confirm input[type=text]{min-height:2.375rem;padding:.3125rem .75rem;font:inherit;color:inherit;
background:var(--card);border:1px solid var(--control);border-radius:.5rem}
.toolbar ::placeholder{color:var(--muted);opacity:1}
.toolbar .clear{padding:.25rem .5rem}
.flush{overflow:hidden}
.console table{width:100%;border-collapse:collapse;font-variant-numeric:tabular-nums}
.console th,.console td{padding:.5625rem .75rem;text-align:left;vertical-align:top;font-weight:400;overflow-wrap:anywhere}
.console thead th{font-size:.8125rem;font-weight:600;color:var(--muted);border-bottom:1px solid var(--line);white-space:nowrap;padding-bottom:.4375rem}
.console tbody tr+tr>*{border-top:1px solid var(--line)}
.console tbody th{min-width:9rem;overflow-wrap:break-word}
.console tbody tr:hover>*{background:var(--page)}
.console tbody th a{font-weight:600}
.console th:first-child{padding-left:1.25rem}
.console tr>:last-child{padding-right:1.25rem}
.console tbody time,.console td code{white-space:nowrap}
.console td .names code,.console td .kid{white-space:normal}
.empty{padding:1.5rem 1.25rem;color:var(--muted)}
.block+.empty{padding-top:0}
.names{display:flex;flex-wrap:wrap;gap:.25rem .375rem}
.names code{display:inline-block;padding:.0625rem .4375rem;border:1px solid var(--line);border-radius:.375rem;background:var(--page);font-size:.8125rem;line-height:1.45}
.state{display:inline-block;padding:.0625rem .5rem;border:1px solid;border-radius:1rem;font-size:.8125rem;font-weight:600;color:var(--muted);white-space:nowrap}
.state.good{color:var(--good);background:var(--good-soft)}
.state.bad{color:var(--danger);background:var(--danger-soft)}
.pager{display:flex;gap:.5rem;justify-content:flex-end}

.nowrap{white-space:nowrap}
.fields{max-width:44rem}
.fields>input[type=hidden]+.field{margin-top:0}
.changes{max-width:44rem}
.fields .field input[type=text],.fields textarea,.fields select{display:block;width:100%;margin-top:.375rem}
.fields textarea{resize:vertical;font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"Liberation Mono",monospace;font-size:.875rem;line-height:1.6}
.fields .field input[type=text]{min-height:2.375rem;padding:.3125rem .75rem;border-radius:.5rem}
.console [aria-invalid]{border-color:var(--danger)!important;border-width:2px!important}
.error{margin-top:.375rem;color:var(--danger);font-size:.875rem}
.console .check{min-height:2.25rem;align-items:flex-start;padding:.375rem 0;gap:.625rem;font-weight:400;cursor:pointer}
.console .check input,.console .check input:hover{appearance:auto;display:block;width:1.125rem;height:1.125rem;min-height:0;margin:.1875rem 0 0;padding:0}
.buttons{display:flex;flex-wrap:wrap;gap:.5rem;margin-top:1.125rem}
.confirm{max-width:44rem}
.once{padding:.75rem 1rem;border:1px solid var(--edge);border-radius:.5rem;background:var(--page);overflow-wrap:anywhere;user-select:all}
.split{display:flex;align-items:center;justify-content:space-between;gap:1rem}
.split>*{margin:0}
.fields .field:has(>.check)+.field:has(>.check){margin-top:.125rem}
[aria-labelledby=rules] .facts{grid-template-columns:minmax(8rem,30rem) minmax(0,1fr)}
.fields h2{margin-top:1.5rem;padding-top:1rem;border-top:1px solid var(--line)}
.fields .field>.check{display:flex;font-weight:400}
.follows,.notes{list-style:disc;padding-left:1.25rem}
.follows li+li,.notes li+li{margin-top:.375rem}
.notes{margin-top:.375rem}
.changes h2{font-size:1rem;margin-bottom:.25rem}
.changes table{margin-top:.75rem}
.changes thead th{white-space:normal}
.changes tbody th{min-width:0}
.changes tr>:first-child{padding-left:0!important}
.changes del{text-decoration:none;color:var(--muted)}
.changes ins{text-decoration:none;font-weight:600}
.changes{background:var(--card)!important}
.console h3{font-size:.9375rem}
.calm{padding-left:.125rem}
.message h2{font-size:1rem;margin-bottom:.25rem}
.kid{font-size:.8125rem}
.act{white-space:nowrap}
.ring{margin:1rem 0 0}
.ring ol{display:grid}
.ring li{display:grid;grid-template-columns:12rem minmax(0,1fr);align-items:center;gap:.75rem}
.ring .label{display:flex;align-items:center;justify-content:space-between;gap:.5rem;font-size:.8125rem}
.ring svg{display:block;overflow:visible}
.ring rect{fill:var(--edge)}
.ring .published{opacity:.45}
.ring .retiring{opacity:.7}
.ring .now{stroke:var(--text);stroke-width:1.5}
.ring .rotation{stroke:var(--control);stroke-width:1.5;stroke-dasharray:3 3}
.ring text{fill:var(--text);font-size:.8125rem;font-weight:600}
.axis{margin-left:12.75rem;position:relative}
.axis .ends{display:flex;justify-content:space-between;gap:1rem;font-size:.8125rem;color:var(--muted)}
.ring figcaption{display:flex;flex-wrap:wrap;gap:.25rem 1.25rem;margin-top:.5rem;font-size:.8125rem;color:var(--muted)}
.ring figcaption .key{display:inline-flex;align-items:center;gap:.375rem}
.numbers{display:grid;grid-template-columns:repeat(auto-fit,minmax(9rem,1fr));gap:.75rem 1.5rem}
.numbers div{display:flex;flex-direction:column-reverse}
.numbers dt{color:var(--muted);font-size:.875rem}
.numbers dd{font-size:1.5rem;font-weight:650;letter-spacing:-.01em;font-variant-numeric:tabular-nums}
.filters{align-items:end}
.filter{flex:1 1 9rem;max-width:14rem;min-width:0}
.filter label{display:block;font-size:.8125rem;color:var(--muted)}
.toolbar .filter input,.toolbar .filter select{width:100%;max-width:none;margin-top:.125rem}
.phone{display:none;font-size:.8125rem}
.pairs{display:flex;flex-wrap:wrap;gap:0 .75rem;font-size:.8125rem}

@media (max-width:52rem){
.ring li{grid-template-columns:minmax(0,1fr);gap:0}
.ring li+li{margin-top:.5rem}
.ring .label{justify-content:flex-start}
.axis{margin-left:0}
.console{display:block}
.console .site{padding:.625rem 1rem}
.places{padding:.5rem .625rem;border-right:0;border-bottom:1px solid var(--line)}
.places ul{display:flex;flex-wrap:wrap;gap:.125rem;position:static}
.places a{padding:.375rem .625rem}
.places a[aria-current]{box-shadow:inset 0 -2px 0 var(--edge);border-radius:.5rem .5rem .125rem .125rem}
.console main{padding:1rem 0 3rem}
.console-page>:not(.card):not(.grid){margin-left:1rem;margin-right:1rem}
.console .card{border-radius:0;border-width:1px 0}
.extra{display:none}
.console tbody th{min-width:6.5rem}
.console .changes tbody th{min-width:0}
.console .changes tr>*{padding-left:.375rem;padding-right:.375rem}
.phone{display:block}
.console th:first-child{padding-left:1rem}
.console tr>:last-child{padding-right:1rem}
.block{padding:1rem}
.heading{grid-template-columns:minmax(0,1fr)}
.heading .actions{justify-content:flex-start}
.who bdi{display:none}
.console .block .facts{grid-template-columns:1fr;gap:0}
.console .facts dt{font-size:.875rem}
.console .button,.places a{min-height:2.75rem}
.places a{display:flex;align-items:center}
}
@media (forced-colors:active){.places a[aria-current]{outline:2px solid}}
`
